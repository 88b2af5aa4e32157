#!/bin/sh
# rabbitmq-users.sh LOGIN=ROLE:PASSWORD_FILE…: creates the vhost `tinyqueue` and these logins, each with the
# permissions of its role in config/services/rabbitmq-permissions.tsv. It can be run again at any time.
# VHOST and RABBITMQCTL override the names. Passwords are read from files and passed on standard input.
set -eu
ctl=${RABBITMQCTL:-rabbitmqctl}
vhost=${VHOST:-tinyqueue}
table=$(dirname "$0")/../config/services/rabbitmq-permissions.tsv
tab=$(printf '\t')

[ $# -gt 0 ] || { sed -n '2,4s/^# //p' "$0" >&2; exit 2; }

$ctl list_vhosts --quiet | grep -qx "$vhost" || $ctl add_vhost "$vhost" --quiet

# Queues that logins declare themselves: events of the role monitor, and copies of what is played. Whatever they ask for,
# each stays within a bound. RabbitMQ applies to a stream only a policy without the other two limits.
bound() {
    limits="{\"max-length\": $3, \"max-length-bytes\": $4, \"expires\": 3600000}"
    apply="--apply-to queues --quiet"
    # shellcheck disable=SC2086
    $ctl set_operator_policy --vhost "$vhost" "$1" "$2" "$limits" --priority 1 $apply
    # shellcheck disable=SC2086
    $ctl set_operator_policy --vhost "$vhost" "$1-streams" "$2" "{\"max-length-bytes\": $4}" --priority 0 $apply
}
bound tinyqueue-events '^celeryev\.' 10000 67108864
bound tinyqueue-copies '^experience\.[a-z0-9_-]+\.copy-' 1000 1073741824

for user in "$@"; do
    login=${user%%=*}
    file=${user#*:}
    role=${user#*=}
    role=${role%%:*}
    case $login in
    # A routing key of this login would end as those of evaluators do.
    *.evaluations) echo "a login's name must not end in .evaluations" >&2; exit 1 ;;
    esac
    row=$(grep "^$role$tab" "$table") || { echo "no role '$role' in $table" >&2; exit 1; }
    field() { printf '%s\n' "$row" | cut -f"$1"; }

    if $ctl list_users --quiet --no-table-headers | cut -f1 | grep -qx "$login"; then
        $ctl change_password "$login" --quiet <"$file"
    else
        $ctl add_user "$login" --quiet <"$file"
    fi
    tags=$(field 2)
    [ "$tags" != - ] || tags=
    # shellcheck disable=SC2086  # without a tag there is no argument
    $ctl set_user_tags "$login" $tags --quiet
    $ctl set_permissions --vhost "$vhost" "$login" "$(field 3)" "$(field 4)" "$(field 5)" --quiet
    $ctl set_topic_permissions --vhost "$vhost" "$login" experience "$(field 6)" '.*' --quiet
    echo "$login now has the permissions of the role $role in vhost $vhost."
done
