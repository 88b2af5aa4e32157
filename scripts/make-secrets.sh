#!/bin/sh
# make-secrets.sh [RABBITMQ_HOST [REDIS_HOST]]: writes random passwords for every role, and the URLs
# that contain them, to files in secrets/. Existing passwords are kept.
set -eu
cd "$(dirname "$0")/.."
rabbitmq=${1:-rabbitmq}
redis=${2:-redis}
umask 077
mkdir -p secrets

for role in learner player monitor web; do
    [ -s "secrets/$role-password" ] ||
        od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"secrets/$role-password"
done
for role in learner player monitor; do
    password=$(cat "secrets/$role-password")
    printf 'amqp://%s:%s@%s:5672/tinyqueue' "$role" "$password" "$rabbitmq" >"secrets/$role-broker-url"
    printf 'redis://%s:%s@%s:6379/0' "$role" "$password" "$redis" >"secrets/$role-redis-url"
done
# Containers read their secrets as different users; the folder's mode keeps others out.
chmod 700 secrets
chmod 644 secrets/*
echo "Passwords and URLs are in secrets/, one file per role."
