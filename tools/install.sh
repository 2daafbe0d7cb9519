#!/bin/sh
# Installs locked requirements and this package, editable, into .venv. Quick when nothing changed.
#
#   tools/install.sh run    what running and building needs
#   tools/install.sh dev    that, and what testing needs
#   tools/install.sh node   Node.js alone
#
# PYTHON names the interpreter to use; otherwise the first that is 3.11 or newer is taken.
set -eu
cd "$(dirname "$0")/.."

fail() {
    printf '\n%s\n' "$1" >&2
    exit 1
}

find_python() {
    for candidate in ${PYTHON:-python3.11 python3 python3.12 python3.13 python3.14}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
    fail "Python 3.11 or newer is needed. Install it, or name it: make PYTHON=/path/to/python3 …"
}

# Debian's Python comes without ensurepip unless python3-venv is installed.
make_venv() {
    python=$(find_python)
    rm -rf .venv
    if "$python" -c 'import ensurepip' 2>/dev/null; then
        "$python" -m venv .venv
    elif "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m venv --without-pip .venv
        "$python" -m pip --python .venv/bin/python install --quiet pip
    elif "$python" -m virtualenv --version >/dev/null 2>&1; then
        "$python" -m virtualenv --quiet .venv
    else
        fail "$python cannot make a virtual environment. On Debian or Ubuntu: apt-get install python3-venv"
    fi
}

case $1 in
    run) locks="run build" ;;
    dev) locks="run build dev" ;;
    node) locks="node" ;;
    *) fail "usage: $0 run|dev|node" ;;
esac

.venv/bin/python -m pip --version >/dev/null 2>&1 || make_venv

requirements=
for lock in $locks; do
    requirements="$requirements -r requirements/$lock.txt"
done

# The stamp holds a sum of everything that decides what gets installed, and where.
stamp=.venv/installed-$1
sum=$({ pwd; cat setup.cfg pyproject.toml $(echo "$requirements" | sed 's/-r//g'); } | cksum)
if [ "$(cat "$stamp" 2>/dev/null)" = "$sum" ]; then
    exit 0
fi
echo "Installing into .venv: $locks"
# shellcheck disable=SC2086 # one word a lock
# Compiling what is never imported would take as long as downloading all of it.
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-compile \
    $requirements
if [ "$1" != node ]; then
    # Quiet about what an editable installation is.
    PYTHONWARNINGS=ignore .venv/bin/python -m pip install --quiet --disable-pip-version-check \
        --no-deps --no-build-isolation --editable .
fi
echo "$sum" >"$stamp"
