#!/bin/sh
# Prints the path of a Chromium for the browser tests; installs one where it may.
set -eu

if [ -n "${CHROMIUM:-}" ]; then
    set -- "$CHROMIUM"
else
    set -- chromium chromium-browser google-chrome google-chrome-stable \
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
fi
for candidate; do
    if command -v "$candidate"; then
        exit 0
    fi
done

if [ -z "${CHROMIUM:-}" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing Chromium for the browser tests" >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >&2
    apt-get install -qq --no-install-recommends chromium >&2
    command -v chromium && exit 0
fi

cat >&2 <<END

The browser tests need Chromium or Chrome, and none was found${CHROMIUM:+ at $CHROMIUM}.
Install it (Debian: sudo apt-get install chromium), or name one: make test CHROMIUM=/path/to/chromium
END
exit 1
