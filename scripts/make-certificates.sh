#!/bin/sh
# make-certificates.sh HOST…: makes an authority of your own in secrets/tls, if there is none, and a certificate and key for
# each host, a name or an IPv4 address. Give machines that connect ca.pem alone; ca.key signs: keep it to yourself.
# DAYS overrides how long they are valid.
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || { sed -n '2,4s/^# //p' "$0" >&2; exit 2; }
days=${DAYS:-825}
tls=secrets/tls
umask 077
mkdir -p $tls

if [ ! -s $tls/ca.key ]; then
    openssl req -x509 -newkey rsa:3072 -nodes -sha256 -days 3650 -subj "/CN=tinyqueue authority" \
        -addext "keyUsage=critical,keyCertSign,cRLSign" \
        -keyout $tls/ca.key -out $tls/ca.pem 2>/dev/null
fi
for host in "$@"; do
    case $host in
    *[!A-Za-z0-9.-]*) echo "$host is neither a host name nor an IPv4 address" >&2; exit 2 ;;
    *[!0-9.]*) name=DNS:$host ;;
    *) name=IP:$host ;;
    esac
    made=$tls/$host
    openssl req -newkey rsa:2048 -nodes -sha256 -subj "/CN=$host" \
        -keyout "$made.key" -out "$made.csr" 2>/dev/null
    printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\nauthorityKeyIdentifier=keyid\n' "$name" >"$made.ext"
    openssl x509 -req -sha256 -days "$days" -in "$made.csr" -extfile "$made.ext" \
        -CA $tls/ca.pem -CAkey $tls/ca.key -CAcreateserial -out "$made.pem" 2>/dev/null
    rm "$made.csr" "$made.ext"
    echo "$made.pem and $made.key are for $host."
done
chmod 644 $tls/ca.pem
