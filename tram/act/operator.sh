#!/bin/sh
# Makes this Debian host one that the centre can manage: python3 and sudo, the operator's account, its sudo, its key.
#
#   sh -s -- apply|check OPERATOR PUBLIC_KEY      as root, this text on standard input
#
# Prints "change NAME" for each thing it changes (check: would change), nothing for what is right already; ends with 1
# and a last line on standard error when it cannot. Every step is whole or not there at all, so it may be cut off
# anywhere and run again. The key comes last: who can log in as operator finds everything else in place.
set -eu
umask 022
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH DEBIAN_FRONTEND=noninteractive LC_ALL=C

die() {
    echo "$1" >&2
    exit 1
}

# due NAME: says that NAME is to be changed; true when it is to be done now.
due() {
    echo "change $1"
    [ "$mode" = apply ]
}

preflight() {
    [ "$(id -u)" = 0 ] || die "this needs root, and came as $(id -un)"
    entry=$(getent passwd "$operator") || entry=
    [ -n "$entry" ] || return 0
    uid=$(echo "$entry" | cut -d: -f3)
    [ "$uid" -ge 1000 ] || die "the account $operator is there already and is the system's own (uid $uid)"
    case $entry in
        */nologin | */false) die "the account $operator is there already and may not log in (${entry##*:})" ;;
    esac
}

packages() {
    set --
    command -v python3 >/dev/null || set -- "$@" python3
    command -v visudo >/dev/null || set -- "$@" sudo
    [ $# -gt 0 ] || return 0
    due packages || return 0
    command -v apt-get >/dev/null || die "$* missing and no apt-get to install it: this is not a Debian host"
    log=$(mktemp)
    get="apt-get -q -y -o DPkg::Lock::Timeout=60 -o Acquire::Retries=1"
    # shellcheck disable=SC2086 # $get is words
    if ! $get --no-install-recommends install "$@" >"$log" 2>&1 &&
        ! { $get update && $get --no-install-recommends install "$@"; } >"$log" 2>&1; then
        why=$(grep '^E:' "$log" | head -n 1)
        rm -f "$log"
        die "apt cannot install $*: ${why:-no reason given}"
    fi
    rm -f "$log"
}

account() {
    [ -z "$entry" ] || return 0
    due account || return 0
    # '*' is no password at all, unlike a locked one ('!') with which sshd without PAM would refuse the key too.
    why=$(useradd --create-home --shell /bin/bash --comment 'Tram operator' --password '*' "$operator" 2>&1) ||
        die "cannot make the account $operator: $why"
}

sudo_rule() {
    rule="$operator ALL=(ALL:ALL) NOPASSWD: ALL"
    file=/etc/sudoers.d/90-tram
    if [ "$(cat $file 2>/dev/null)" = "$rule" ] && [ "$(stat -c '%U %a' $file)" = 'root 440' ]; then
        return 0
    fi
    due sudo || return 0
    why=$(visudo -c 2>&1) || die "sudo's own configuration is broken, mend it first (visudo -c): $(echo "$why" | head -n 1)"
    new=/etc/sudoers.d/.90-tram.new # sudo skips names with a dot
    echo "$rule" >$new
    chmod 0440 $new
    why=$(visudo -c -f $new 2>&1) || die "sudo does not accept the rule: $why"
    mv $new $file
    visudo -c >/dev/null 2>&1 || { rm -f $file; die "sudo does not accept the rule beside the others; taken back"; }
}

key() {
    home=$(getent passwd "$operator" | cut -d: -f6) || home=
    list=$home/.ssh/authorized_keys
    blob=$(echo "$public_key" | cut -d' ' -f2)
    if [ -n "$home" ] && [ -n "$blob" ] && [ -f "$list" ] && grep -v '^#' "$list" | grep -qF -- "$blob" &&
        [ "$(stat -c '%U %a' "$home/.ssh" "$list" | tr '\n' ' ')" = "$operator 700 $operator 600 " ]; then
        return 0
    fi
    due key || return 0
    group=$(id -gn "$operator")
    install -d -m 0700 -o "$operator" -g "$group" "$home/.ssh"
    {
        # grep also ends a last line that has no end; status 1 is only "nothing left".
        [ ! -f "$list" ] || grep -vF -- "$blob" "$list" || [ $? -eq 1 ]
        echo "$public_key"
    } >"$list.new"
    chmod 0600 "$list.new"
    chown "$operator:$group" "$list.new"
    mv "$list.new" "$list"
}

main() {
    mode=$1 operator=$2 public_key=$3
    preflight
    packages
    account
    sudo_rule
    key
}

# One function, read to its end before anything runs: half a script does nothing, and apt cannot eat the rest of it.
main "$@" </dev/null
