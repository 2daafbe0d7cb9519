#!/bin/sh
# tools/browser.sh chromium|headless|firefox|webkit prints the path of that browser, or of what
# drives it. Installs it where it may. Nobody needs headless, which is Chromium without windows, and
# a normal user may do without Firefox and WebKit: then it prints none.
set -eu
browser=$1

look_for() {
    for program; do
        command -v "$program" && exit
    done
}

look() {
    case $browser in
    chromium)
        if [ -n "${CHROMIUM:-}" ]; then
            look_for "$CHROMIUM"
            echo "CHROMIUM=$CHROMIUM is no program" >&2
            exit 1
        fi
        look_for chromium chromium-browser google-chrome google-chrome-stable \
            "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
        ;;
    headless) look_for chromium-headless-shell ;;
    firefox) look_for firefox-esr firefox /Applications/Firefox.app/Contents/MacOS/firefox ;;
    webkit) command -v Xvfb >/dev/null && look_for WebKitWebDriver ;;
    esac
}

case $browser in
chromium) name="Chromium or Chrome, or the path of one in CHROMIUM" packages=chromium ;;
headless) name="Chromium without windows" packages=chromium-headless-shell ;;
firefox) name=Firefox packages=firefox-esr ;;
webkit) name="WebKitGTK's WebDriver and Xvfb" packages="webkit2gtk-driver xvfb" ;;
esac

install() {
    # shellcheck disable=SC2086 # several words are several packages
    apt-get install -qq --no-install-recommends $packages
}

look || true
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing $packages for the browser tests" >&2
    export DEBIAN_FRONTEND=noninteractive
    # The lists of packages are there already where this has just installed another browser.
    install >/dev/null 2>&1 || { apt-get update -qq && install; } >&2 || [ "$browser" = headless ]
    look || true
fi

if [ "$browser" = headless ]; then
    echo "The tests take the whole of Chromium, which is slower: no $packages found" >&2
    exit
fi
if [ "$browser" != chromium ] && [ "$(id -u)" != 0 ] && [ -z "${CI:-}" ]; then
    echo "The tests leave out $browser: no $name found (Debian: sudo apt-get install $packages)" >&2
    exit
fi
cat >&2 <<END

The browser tests need $name, and found none. Install it (Debian: sudo apt-get install $packages)
END
exit 1
