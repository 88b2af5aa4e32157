#!/bin/sh
# make-venv.sh PYTHON DIRECTORY: creates a virtual environment with pip.
# Debian's python3 comes without ensurepip; virtualenv or uv will do instead.
set -eu
python=$1
venv=$2

if [ -z "$python" ]; then
    echo "No Python 3.11, 3.12 or 3.13 was found on PATH. Install one, or name it: make PYTHON=/path/to/python3.12" >&2
    exit 1
fi

has() { "$python" -c "import $1" >/dev/null 2>&1; }
package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')

if ! has ensurepip && ! has virtualenv && ! command -v uv >/dev/null 2>&1 &&
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "$python cannot create virtual environments yet; installing $package."
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$package"; } || true
fi

if has ensurepip; then
    "$python" -m venv "$venv"
elif has virtualenv; then
    "$python" -m virtualenv --quiet "$venv"
elif command -v uv >/dev/null 2>&1; then
    uv venv --quiet --seed --python "$("$python" -c 'import sys; print(sys.executable)')" "$venv"
else
    cat >&2 <<TEXT
$python cannot create a virtual environment: its ensurepip module is missing.
Install one of these and run make again:
  Debian, Ubuntu:  sudo apt-get install $package
  anywhere:        virtualenv or uv, from your package manager
TEXT
    exit 1
fi
