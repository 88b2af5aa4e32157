#!/bin/sh
# Starts a player worker with the variables of player.env.
# Signals go to the worker itself, which lets its children finish their session batch.
set -eu
# shellcheck disable=SC2086  # PLAYER_OPTIONS is a list of options
exec celery -A tinyqueue worker --hostname "player@%h" \
    --queues "${TINYQUEUE_PLAY_QUEUES:-play},evaluate" --concurrency "${PLAYER_CONCURRENCY:-1}" \
    --without-gossip --without-mingle --loglevel "${PLAYER_LOGLEVEL:-INFO}" ${PLAYER_OPTIONS:-}
