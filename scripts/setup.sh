#!/bin/sh
# Make this machine able to run Trạm: Debian packages, then .venv from the pinned, hashed requirements.
#   scripts/setup.sh [run|dev]    run (default): what operators need; dev: the tests' tools too
# The second time it only looks. Exit 2, with one line and nothing done, on a machine that cannot carry the lab.
set -eu
cd "$(dirname "$0")/.."
want=${1:-run}
log=build/setup.log

packages="python3-venv debootstrap systemd-container iproute2 netcat-openbsd openssh-client openssl ca-certificates \
fonts-dejavu-core"
[ "$want" = run ] || packages="$packages shellcheck postgresql slapd ldap-utils prometheus prometheus-alertmanager chromium sudo"

# Everything that is missing is named at once, before anything is touched.
missing=
lack() { missing="${missing:+$missing, }$1"; }
# shellcheck source=/dev/null
debian=$(. /etc/os-release 2>/dev/null && echo "${ID:-}-${VERSION_ID:-}") || debian=
case "$debian" in debian-12 | debian-13) ;; *) lack "Debian 12 or 13 (this is ${debian:-unknown})" ;; esac
[ "$(id -u)" = 0 ] || lack "root (run it with sudo)"
command -v apt-get >/dev/null || lack "apt-get"
[ -c /dev/net/tun ] || lack "/dev/net/tun"
grep -qw overlay /proc/filesystems 2>/dev/null || modprobe -q overlay 2>/dev/null || lack "overlayfs in the kernel"
[ -e /proc/self/ns/net ] || lack "network namespaces in the kernel"
if [ -n "$missing" ]; then
    echo "tram: this machine cannot carry the province in a box; missing: $missing" >&2
    exit 2
fi

mkdir -p build
: >"$log"
began=$(date +%s)
step() { printf '%s' "setup: $1 ... "; }
done_() { echo "done ($(($(date +%s) - began)) s)"; }
failed() {
    echo "failed; the end of $log says why:" >&2
    tail -n 15 "$log" >&2
    exit 1
}

absent=
for package in $packages; do
    case $(dpkg-query -W -f='${Status}' "$package" 2>/dev/null) in
    "install ok installed") ;;
    *) absent="$absent $package" ;;
    esac
done
if [ -n "$absent" ]; then
    step "Debian packages:$absent"
    # The tests start database clusters of their own and end them; Debian's default one is not wanted.
    case "$absent" in *postgresql*)
        mkdir -p /etc/postgresql-common
        [ -e /etc/postgresql-common/createcluster.conf ] ||
            echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
        ;;
    esac
    # So with directories: the package is to make none, and so has none to start.
    case "$absent" in *slapd*)
        echo "slapd slapd/no_configuration boolean true" | debconf-set-selections >>"$log" 2>&1 || failed
        ;;
    esac
    # Of these the checks and tests need the programs only; masked before they are there, nothing starts now or at the next boot.
    case "$absent" in *prometheus*) systemctl -q mask prometheus prometheus-alertmanager 2>>"$log" || true ;; esac
    # shellcheck disable=SC2086 # a list of words on purpose
    { apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install $absent; } \
        >>"$log" 2>&1 || failed
    done_
fi

stamp=$(sha256sum requirements/run.txt requirements/dev.txt pyproject.toml | sha256sum | cut -c1-16)
have=$(cat .venv/.tram-stamp 2>/dev/null || true)
if [ "$have" != "$stamp dev" ] && [ "$have" != "$stamp $want" ]; then
    step "Python environment (.venv, $want)"
    [ -x .venv/bin/python ] || /usr/bin/python3 -m venv .venv >>"$log" 2>&1 || failed
    .venv/bin/python -m pip --disable-pip-version-check -q install --require-hashes -r "requirements/$want.txt" \
        >>"$log" 2>&1 || failed
    # The console script `tram`, from this checkout.
    .venv/bin/python -m pip --disable-pip-version-check -q install --no-deps --no-build-isolation --no-index -e . \
        >>"$log" 2>&1 || failed
    echo "$stamp $want" >.venv/.tram-stamp
    done_
fi
