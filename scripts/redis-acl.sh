#!/bin/sh
# redis-acl.sh SECRETS > users.acl: prints the rules of config/services/redis-users.acl with the
# sha256 of SECRETS/<role>-password in place of each @role@.
set -eu
secrets=$1
rules=$(cat "$(dirname "$0")/../config/services/redis-users.acl")
for role in player learner monitor; do
    hash=$(tr -d '\n' <"$secrets/$role-password" | sha256sum | cut -d' ' -f1)
    rules=$(printf '%s\n' "$rules" | sed "s/@$role@/$hash/")
done
printf '%s\n' "$rules"
