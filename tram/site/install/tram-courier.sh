#!/bin/sh
# Trạm. At a host without a line: takes in what a stick brought, and puts on it what the host has to tell.
#
#   tram-courier load DIR [SECONDS]    carry out what is on the stick, wait at most SECONDS (3600) for it, then as return
#   tram-courier return DIR            put every report that waits on the stick
#   tram-courier load|return -         the same with a tar file on standard input, answers as tar on standard output
#
# Nothing on the stick is executed unless the centre signed it. Orders are opened with this host's own ssh key
# (docs/adr/0010) and judged as any other.
set -eu
umask 077
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

fail() {
    echo "tram-courier: $1" >&2
    exit 2
}

verb=${1:-} stick=${2:-} seconds=${3:-3600}
case $verb in load | return) ;; *) fail "say load or return, and the stick's directory" ;; esac
[ -n "$stick" ] || fail "say where the stick is mounted"
[ "$(id -u)" = 0 ] || fail "run it as root"

work=$(mktemp -d /run/tram-courier.XXXXXX)
trap 'rm -rf "$work"' EXIT
if [ "$stick" = - ]; then
    mkdir "$work/stick"
    tar -x -C "$work/stick" --no-same-owner
    stick=$work/stick piped=yes
fi

config=/var/lib/tram/site/config.json
read -r province host <<END
$(python3 -I -c 'import json, sys; c = json.load(open(sys.argv[1])); print(c["province"], c["host"])' "$config")
END
[ -n "$host" ] || fail "$config does not say who this host is: install the runtime first"
place=$stick/tram/$province/$host
mkdir -p "$place"
answer=$place/answer-$(date -u +%Y%m%dT%H%M%SZ)

open_all() { # the files of one kind, opened, in their order
    for sealed in "$place/$1"*.age; do
        [ -e "$sealed" ] || continue
        command -v age >/dev/null || fail "package age is not installed here: install it (apt install age)"
        opened=$work/$(basename "$sealed" .age)
        age -d -i /etc/ssh/ssh_host_ed25519_key -o "$opened" "$sealed" ||
            fail "$(basename "$sealed") was not closed for this host's key, or is damaged"
    done
}

install_all() { # a newer runtime, if the centre signed it for this host
    for given in "$place"/0-runtime-*.install; do
        [ -e "$given" ] || continue
        cp "$given" "$work/install"
        cp "${given%.install}.sig" "$work/sig" || fail "$(basename "$given") has no signature beside it"
        head -n 1 "$work/install" | ssh-keygen -Y verify -q -f /var/lib/tram/site/allowed_signers \
            -I "centre@$province" -n tram-order -s "$work/sig" || fail "$(basename "$given") is not signed by the centre"
        python3 -I /opt/tram/runtime/current/launch.py tram.site.install.installer --host "$host" \
            <"$work/install" >"$work/said" || fail "the runtime cannot be installed: $(tail -n 1 "$work/said")"
    done
}

ended=0
if [ "$verb" = load ]; then
    install_all
    open_all 1-
    set -- "$work"/1-*
    if [ -e "$1" ]; then
        /usr/local/sbin/tram-site accept --wait "$seconds" --answer "$answer-1.frames" "$@" || ended=$?
    fi
    open_all 2-
fi
set -- "$work"/2-*
[ -e "$1" ] || { : >"$work/2-nothing" && set -- "$work/2-nothing"; }
/usr/local/sbin/tram-site accept --answer "$answer-2.frames" "$@" || ended=$?
sync
if [ -n "${piped:-}" ]; then
    cd "$stick" && find tram -name 'answer-*.frames' -print0 | tar -c --null -T -
fi
[ -n "${piped:-}" ] || /usr/local/sbin/tram-site status
exit $ended
