#!/bin/sh
# Starts Flower. Passwords are passed in the environment, not as arguments.
set -eu
read_secret() { [ -z "${1:-}" ] || cat "$1"; }

password=$(read_secret "${FLOWER_WEB_PASSWORD_FILE:-}")
[ -z "$password" ] || export FLOWER_BASIC_AUTH="${FLOWER_WEB_LOGIN:-tinyqueue}:$password"

if [ -n "${FLOWER_API_HOST:-}" ]; then
    password=$(read_secret "${FLOWER_API_PASSWORD_FILE:-}")
    case $FLOWER_API_HOST in
    https://* | http://*) scheme=${FLOWER_API_HOST%%://*} ;;
    *) scheme=http ;;
    esac
    export FLOWER_BROKER_API="$scheme://monitor:$password@${FLOWER_API_HOST#*://}/api/tinyqueue"
fi
exec celery -A tinyqueue flower
