#!/bin/sh
# Makes sure that the tests find the RabbitMQ and Redis server programs. It starts neither: tests
# run their own private servers. To use running servers instead, set TINYQUEUE_TEST_BROKER_URL and
# TINYQUEUE_TEST_REDIS_URL.
set -eu
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

missing=
if [ -z "${TINYQUEUE_TEST_BROKER_URL:-}" ] && ! command -v rabbitmq-server >/dev/null; then
    missing="rabbitmq-server"
fi
if [ -z "${TINYQUEUE_TEST_REDIS_URL:-}" ] && ! command -v redis-server >/dev/null; then
    missing="$missing redis-server"
fi
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    cat >&2 <<TEXT
The tests need these server programs, which are not on PATH: $missing
Install them (they need not be running) and run make again:
  Debian, Ubuntu:  sudo apt-get install --no-install-recommends $missing
  Fedora, macOS:   the packages rabbitmq-server and redis, or rabbitmq and redis
Or name running servers that tests may fill and empty:
  TINYQUEUE_TEST_BROKER_URL=amqp://user:password@host:5672/vhost
  TINYQUEUE_TEST_REDIS_URL=redis://:password@host:6379/15
TEXT
    exit 1
fi

# Exit code 101 tells Debian's packages not to start a service on installation.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
    trap 'rm -f $policy' EXIT
fi
echo "Installing $missing."
apt-get update -qq
# shellcheck disable=SC2086  # a list of packages
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
if [ -d /run/systemd/system ]; then
    systemctl disable --quiet $missing  # do not start it at the next boot either
fi
