#!/bin/sh
# Starts a worker with the variables of player.env; an evaluating one with WORKER_QUEUES=evaluate.
# Signals go to the worker itself, which lets its children finish their session batch.
set -eu
# shellcheck disable=SC2086  # PLAYER_OPTIONS is a list of options
exec celery -A tinyqueue worker --hostname "${WORKER_NAME:-player}@%h" \
    --queues "${WORKER_QUEUES:-${TINYQUEUE_PLAY_QUEUES:-play}}" --concurrency "${PLAYER_CONCURRENCY:-1}" \
    --without-gossip --without-mingle --loglevel "${PLAYER_LOGLEVEL:-INFO}" ${PLAYER_OPTIONS:-}
