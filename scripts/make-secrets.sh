#!/bin/sh
# make-secrets.sh [RABBITMQ_HOST[:PORT] [REDIS_HOST[:PORT]]]: writes random passwords for every role, and the URLs that
# contain them, to files in secrets/. Existing passwords are kept. With one host it is that of both servers. URLs of
# other machines use TLS (ports 5671 and 6380); those of this machine, and those of docker-compose.yml, which are made
# without arguments, are plain. PLAIN=1 makes all plain.
set -eu
cd "$(dirname "$0")/.."
for host in "$@"; do
    case $host in
    *[!A-Za-z0-9._:-]* | *:*:*) echo "$host is neither a host name nor an IPv4 address, with or without :PORT" >&2; exit 2 ;;
    esac
done
umask 077
mkdir -p secrets

# Is a connection to HOST[:PORT] safe without TLS?
is_private() {
    case ${1%:*} in
    localhost | 127.* | '') return 0 ;;
    esac
    return 1
}

# place SCHEME PORT TLS_PORT HOST[:PORT] CONTAINER: prints scheme and host, or the container's.
place() {
    host=$4
    scheme=$1 port=$2
    if [ -z "$host" ]; then
        host=$5
    elif [ -z "${PLAIN:-}" ] && ! is_private "$host"; then
        scheme=$1s port=$3
    fi
    case $host in
    *:*) ;;
    *) host=$host:$port ;;
    esac
    printf '%s %s' "$scheme" "$host"
}

first=${1:-}
set -- "$first" "${2:-${first%:*}}"
rabbitmq=$(place amqp 5672 5671 "$1" rabbitmq)
redis=$(place redis 6379 6380 "$2" redis)

for role in learner player evaluator monitor web; do
    [ -s "secrets/$role-password" ] ||
        od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"secrets/$role-password"
done
for role in learner player evaluator monitor; do
    password=$(cat "secrets/$role-password")
    printf '%s://%s:%s@%s/tinyqueue' "${rabbitmq% *}" "$role" "$password" "${rabbitmq#* }" >"secrets/$role-broker-url"
    # Redis has no login for evaluators: they read what players read.
    [ "$role" = evaluator ] ||
        printf '%s://%s:%s@%s/0' "${redis% *}" "$role" "$password" "${redis#* }" >"secrets/$role-redis-url"
done
# Containers read their secrets as different users; the folder's mode keeps others out.
chmod 700 secrets
chmod 644 secrets/*-password secrets/*-url
echo "Passwords and URLs are in secrets/, one file per role: ${rabbitmq% *}://${rabbitmq#* } and ${redis% *}://${redis#* }."

hosts=
for place in "$rabbitmq" "$redis"; do
    case ${place% *} in
    amqps | rediss)
        host=${place#* }
        host=${host%:*}
        [ "$hosts" = " $host" ] || hosts="$hosts $host"
        ;;
    esac
done
if [ -n "$hosts" ]; then
    echo "The servers need certificates for these names; to make them: sh scripts/make-certificates.sh$hosts"
    echo "Whoever connects needs secrets/tls/ca.pem, and TINYQUEUE_TLS_CA_CERTS with its path."
elif [ -n "${PLAIN:-}" ] && { ! is_private "$1" || ! is_private "$2"; }; then
    echo "WARNING: passwords and sessions will cross the network unprotected, for everybody on it to read." >&2
    echo "WARNING: leave out PLAIN=1 unless a VPN or tunnel protects that network." >&2
fi
