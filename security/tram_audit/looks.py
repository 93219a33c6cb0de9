"""What is looked at on a host: each look a command that only reads. How its words are read: `facts`.

Nothing may write, not even a cache. Hashes of passwords stay where they are.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import timedelta

from tram.look import Look

FILES = (
    *("/etc/passwd", "/etc/passwd-", "/etc/group", "/etc/group-", "/etc/shadow", "/etc/shadow-", "/etc/gshadow"),
    *("/etc/gshadow-", "/etc/sudoers", "/etc/sudoers.d", "/etc/sudoers.d/*", "/etc/ssh/sshd_config"),
    *("/etc/ssh/sshd_config.d/*", "/etc/ssh/ssh_host_*_key", "/etc/crontab", "/etc/cron.d", "/etc/cron.daily"),
    *("/etc/cron.hourly", "/etc/cron.weekly", "/etc/cron.monthly", "/etc/cron.d/*", "/etc/cron.daily/*", "/root"),
    *("/root/.ssh", "/root/.ssh/authorized_keys", "/home/*", "/home/*/.ssh", "/home/*/.ssh/authorized_keys"),
    *("/home/*/.bashrc", "/home/*/.profile", "/home/*/.bash_logout", "/var/log/*.log", "/var/log/*tmp"),
    *("/var/log/lastlog", "/var/log/faillog", "/etc/securetty"),
    *("/var/log/journal", "/tmp", "/var/tmp", "/dev/shm"),  # noqa: S108 (looked at, not used)
    *("/etc/shells", "/etc/security/opasswd", "/etc/issue", "/etc/issue.net", "/etc/motd", "/boot/grub/grub.cfg"),
    *("/etc/cron.allow", "/etc/cron.deny", "/etc/at.allow", "/etc/at.deny", "/etc/hosts.equiv", "/root/.rhosts"),
    *("/home/*/.rhosts", "/home/*/.netrc", "/root/.netrc", "/etc/audit", "/etc/audit/*", "/etc/audit/rules.d/*"),
    *("/var/log/audit", "/var/log/audit/*", "/run/faillock", "/var/lib/tram", "/var/log", "/etc/ssl/private"),
    *("/etc/ssl/tram/*.key", "/etc/apt/sources.list", "/etc/apt/sources.list.d/*", "/etc/profile", "/etc/profile.d/*"),
)
UNWANTED = (
    *("telnetd", "inetutils-telnetd", "telnetd-ssl", "telnet", "inetutils-telnet", "rsh-server", "rsh-redone-server"),
    *("rsh-client", "rsh-redone-client", "nis", "ypserv", "talk", "talkd", "tftpd", "tftpd-hpa", "atftpd", "xinetd"),
    *("inetutils-inetd", "openbsd-inetd", "vsftpd", "proftpd-core", "ftp", "tnftp", "avahi-daemon", "cups"),
    *(
        "autofs",
        "slapd",
        "squid",
        "udisks2",
        "apport",
        "rpcbind",
        "nfs-kernel-server",
        "samba",
        "snmpd",
        "isc-dhcp-server",
        "xserver-xorg-core",
        "prelink",
    ),
)
UNIT_PROPERTIES = (
    *("Id", "NeedDaemonReload", "User", "DynamicUser", "NoNewPrivileges", "ProtectSystem", "ProtectHome", "PrivateTmp"),
    *("PrivateDevices", "ProtectKernelTunables", "ProtectKernelModules", "ProtectControlGroups", "RestrictSUIDSGID"),
    *("RestrictNamespaces", "LockPersonality", "MemoryDenyWriteExecute", "ProtectKernelLogs", "ProtectClock"),
    *("ProtectHostname", "ProtectProc", "RestrictRealtime", "RestrictAddressFamilies", "CapabilityBoundingSet"),
    *("SystemCallArchitectures", "UMask", "PrivateNetwork", "AmbientCapabilities"),
)

_SSHD = """\
command -v sshd >/dev/null || exit 127
c=$(sshd -T) || exit 1
echo "$c"
{ echo "$SUDO_USER localhost 127.0.0.1 22"; cat /etc/ssh/sshd_config /etc/ssh/sshd_config.d/*.conf | awk '
tolower($1) == "match" {u = "root"; h = "localhost"; a = "127.0.0.1"; p = 22; for (i = 2; i < NF; i += 2) {
k = tolower($i); v = $(i + 1); gsub(/"/, "", v); sub(/,.*/, "", v); gsub(/[*?!]/, "1", v)
if (k == "user") u = v; if (k == "host") h = v; if (k == "localport") p = v
if (k == "address") {sub("/.*", "", v); a = v}
if (k == "group") {g = "getent group " v " | cut -d: -f4 | cut -d, -f1"; g | getline u; close(g)}}
print (u == "" ? "root" : u), h, a, p}'
echo "root localhost 127.0.0.1 22"; } | sort -u | while read -r u h a p; do
n=$((n + 1)); [ $n -le 24 ] || { echo "match too many"; break; }
sshd -T -C "user=$u,host=$h,addr=$a,laddr=127.0.0.1,lport=$p" || echo "match refused"; done
pid=$(echo "$c" | sed -n 's/^pidfile //p')
n=$(find /etc/ssh/sshd_config /etc/ssh/sshd_config.d \\( -name '*_config' -o -name '*.conf' \\) \
\\( -newer "$pid" -o -cnewer "$pid" \\))
[ -e "$pid" ] || n=unknown
for f in $(echo "$c" | sed -n 's/^hostcertificate //p'); do
e=$(ssh-keygen -Lf "$f" | sed -n 's/^ *Valid: .* to //p')
[ "$e" ] && echo "hostcertificate_days $(( ($(date -d "$e" +%s) - $(date +%s)) / 86400 ))"; done
echo "changed_since_start ${n:-none}" | tr '\\n' ' '
"""

# A password is said to be `set`, with its scheme and not its hash; what ageing applies is beside it.
_ACCOUNTS = """\
getent passwd | awk -F: '{print "user", $1, $3, $4, $6, $7}'
getent shadow | awk -F: '{
h = $2; s = (h == "") ? "empty" : (h ~ /^[!*]/) ? "locked" : "set"
k = (s == "set" && split(h, p, "$") > 2) ? p[2] : (s == "set" ? "des" : "-")
print "shadow", $1, s, k, ($5 == "" ? "-" : $5), ($7 == "" ? "-" : $7)}'
awk -F: '$2 != "x" {print "unshadowed", $1}' /etc/passwd
getent group sudo adm shadow disk docker | awk -F: '{print "group", $1, $4}'
visudo -cq && echo "sudoers valid" || echo "sudoers invalid"
awk '/^[A-Z_]+[ \t]+[A-Za-z0-9]+[ \t]*(#.*)?$/ {print "login", $1, $2}' /etc/login.defs
useradd -D | sed -n 's/^\\([A-Z_]*\\)=/useradd \\1 /p'
s='for f in /etc/profile /etc/bash.bashrc; do [ -r $f ] && PS1=x && . $f; done; echo "shell TMOUT ${TMOUT:-none}"
echo "shell UMASK $(umask)"; readonly -p | grep -q TMOUT && echo "shell TMOUT_readonly yes"'
umask 022; setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs \
env -i HOME=/ PATH=/usr/bin:/bin bash --norc --noprofile -c "$s"
exit 0
"""

# Stacks are files and nothing else; they are read as PAM reads them, and the includes resolved by `facts_accounts`.
_PAM = """\
cd /etc/pam.d || exit 1
grep -v '^[[:space:]]*\\(#\\|$\\)' sshd su sudo login passwd common-* other /dev/null
for f in faillock pwquality pwhistory access limits; do
for g in /etc/security/$f.conf /etc/security/$f.conf.d/*.conf /etc/security/$f.d/*.conf; do [ -f "$g" ] || continue
case $f in
access) grep -v '^[[:space:]]*\\(#\\|$\\)' "$g" | sed 's/^/@access rule /';;
limits) awk '!/^[ \t]*(#|$)/ {print "@limits", $1 "/" $2 "/" $3, $4}' "$g";;
*) sed -n "s,^[[:space:]]*\\([a-z_][a-z_]*\\)[[:space:]]*=*[[:space:]]*\\([^#]*\\).*,@$f \\1 \\2,p" "$g";;
esac; done; done
exit 0
"""

_SUDO = """\
command -v cvtsudoers >/dev/null || exit 127
cvtsudoers -f json /etc/sudoers
"""

# One walk over the local file systems for everything that is asked of each file. What is below /var/lib/private and the
# like belongs to users that are there only while their service runs (systemd.exec(5), DynamicUser).
_FILES_FOUND = """\
t=ext2,ext3,ext4,xfs,btrfs,overlay,tmpfs
set -- $(findmnt -rno TARGET -t $t | grep -Ev '^/(run|proc|sys|dev)(/|$)')
[ $# -gt 0 ] || exit 1
find "$@" -xdev \\( -path '*/containers/*' -o -path /var/lib/machines \\) -prune -o \\( \
-type f -perm /6000 -printf 'setid %m %u:%g %p\\n' \\) , \\( \
-type f -perm -0002 -printf 'writable %m %u:%g %p\\n' \\) , \\( \
-type d -perm -0002 ! -perm -1000 -printf 'unsticky %m %u:%g %p\\n' \\) , \\( \
\\( -nouser -o -nogroup \\) ! -regex '/var/\\(lib\\|cache\\|log\\)/private/.*' \
-printf 'unowned %m %U:%G %p\\n' \\) | sort -u
"""

# Not apt-get: without its cache it takes a second of CPU. What Debian's security lists hold in a later version than
# what is installed is pending; a host that has no such list has nobody to tell it, and says no age.
_APT = """\
v='I ${Package} ${Version} ${db:Status-Abbrev}\\n'
r=$(grep -l '^Label: Debian-Security' /var/lib/apt/lists/*Release)
n=$(for f in $r; do ls "${f%_*Release}"_*_Packages* >&2 && stat -c %Y "$f"; done | sort -n | tail -n1)
[ -n "$n" ] && echo "lists_age_days $(( ($(date +%s) - n) / 86400 ))"
s=$({ dpkg-query -W -f="$v" || echo Unread:; for f in $r; do
for l in "${f%_*Release}"_*_Packages*; do [ -e "$l" ] || continue
/usr/lib/apt/apt-helper cat-file "$l" || echo Unread:; done; done; } |
awk '/^I / {if ($4 ~ /^i/) v[$2] = $3; next} /^Unread:/ {print} /^Package: / {p = $2}
/^Version: / {if (p in v && v[p] != $2) print p, v[p], $2}' | sort -u | while read -r p a b; do
[ $p = Unread: ] && echo $p; dpkg --compare-versions "$a" lt "$b" && echo "security $p $b"; done)
case $s in *Unread:*) exit 1;; esac
echo "$s"
apt-config dump | sed -n 's/^\\(APT::Periodic::[A-Za-z-]*\\|APT::Get::AllowUnauthenticated\\|\
APT::Install-[A-Za-z]*\\|APT::Sandbox::Seccomp\\|Unattended-Upgrade::[A-Za-z:-]*\\|\
Acquire::AllowInsecureRepositories\\|Acquire::AllowDowngradeToInsecureRepositories\\) "\\(.*\\)";/config \\1 \\2/p'
for t in apt-daily.timer apt-daily-upgrade.timer; do echo "timer $t $(systemctl is-active $t)"; done
[ -e /run/reboot-required ] && echo "reboot required" || echo "reboot no"
"""

_LOGS = """\
echo "journald $(systemctl is-active systemd-journald)"
m=$(cat /etc/machine-id)
[ -d "/var/log/journal/$m" ] && echo "storage persistent" || echo "storage volatile"
systemd-analyze cat-config systemd/journald.conf | sed -n 's/^\\([A-Z][A-Za-z]*\\)=\\(.*\\)/set \\1 \\2/p'
command -v auditctl >/dev/null && auditctl -s | sed 's/^/kaudit /' || echo "kaudit missing"
echo "auditd $(systemctl is-active auditd)"
auditctl -l | awk '/^-/ {n++} END {print "kaudit rules", n + 0}'
for t in dailyaidecheck tram-integrity tram-integrity-check tram-log-check logrotate; do
[ "$(systemctl is-active $t.timer)" = active ] && echo "timer $t.timer active"
done
[ -n "$(ss -Htn state established '( dport = :6514 )')" ] && echo "forward established" || echo "forward none"
exit 0
"""

# Not timedatectl: it has a service started for it.
_TIME = """\
for u in chrony systemd-timesyncd ntpsec; do [ "$(systemctl is-active $u)" = active ] && echo "daemon=$u"; done
exit 0
"""

# What answers, not what lies on disk: each TLS port that listens is asked for its certificate.
_CERTIFICATES = """\
command -v openssl >/dev/null || exit 127
now=$(date +%s)
ss -Hltn | awk '{print $4}' | while read -r a; do
p=${a##*:}; h=${a%:*}; h=${h%%%*}
case $p in 443|465|993|995|636|8443) s=;; 25|587) s='-starttls smtp';; 143) s='-starttls imap';; *) continue;; esac
case $h in 0.0.0.0|'*') h=127.0.0.1;; '[::]') h='[::1]';; esac
e=$(timeout 4 openssl s_client $s -connect "$h:$p" </dev/null | openssl x509 -noout -enddate | cut -d= -f2)
[ -n "$e" ] && echo "tcp/$p $(( ($(date -d "$e" +%s) - now) / 86400 ))" || echo "tcp/$p none"
done | sort -u
"""

# What a daemon reads as it starts, newer than the unit's last start or reload. Zones and maps have ways of their own.
_STALE = """\
systemctl show -p Id -p ActiveState -p StateChangeTimestamp --timestamp=us+utc nginx postfix@- postfix dovecot rspamd \
named chrony $(for v in /etc/php/*/fpm; do w=${v%/fpm}; [ -d "$v" ] && echo "php${w##*/}-fpm"; done) systemd-journald \
systemd-resolved rsyslog auditd fail2ban systemd-journal-upload systemd-journal-remote apt-cacher-ng |
awk -F= '$1 == "Id" {u = $2} $1 == "ActiveState" {a = $2} $1 == "StateChangeTimestamp" {t = $2}
$0 == "" {p()} END {p()} function p() {if (a == "active" && t != "") print u, t; a = t = ""}' |
while read -r u t; do n=${u%.service}; w='*'; case $n in
postfix*) set -- /etc/postfix/main.cf /etc/postfix/master.cf;;
dovecot|rspamd) set -- /etc/$n; w='*.conf*';;
named) set -- /etc/bind; w='named.conf*';;
php*) n=${n#php}; set -- /etc/php/${n%-fpm}/fpm;;
rsyslog) set -- /etc/rsyslog.conf /etc/rsyslog.d;;
auditd) set -- /etc/audit/auditd.conf;;
systemd-*) n=${n#systemd-}; n=/etc/systemd/${n%d}; set -- ${n}d.conf ${n}d.conf.d $n.conf $n.conf.d;;
*) set -- /etc/$n;; esac
f=$(find "$@" \\( -type f -o -type l \\) \\( -newermt "$t" -o -newerct "$t" \\) -name "$w" | head -n 3 | tr '\\n' ' ')
echo "$u ${f:-none}"; done
exit 0
"""

# systemd does not notice a drop-in in a directory that was not there when it last read its units: we do.
_UNITS_NEWER = """\
t=$(systemctl show -p UnitsLoadTimestamp --value --timestamp=us+utc)
[ -n "$t" ] || t=$(systemctl show -p UnitsLoadFinishTimestamp --value --timestamp=us+utc)  # not since it started
[ -n "$t" ] || exit 1
n=$(find /etc/systemd/system \\( -type f -o -type l \\) -newermt "$t" | head -n1)
[ -n "$n" ] && r=yes || r=no
printf '\\nId=/etc/systemd/system\\nNeedDaemonReload=%s\\n' $r
"""

_PACKAGES = """\
command -v dpkg-query >/dev/null || exit 127
dpkg-query -W -f='${db:Status-Abbrev} ${Package}\\n' dpkg """

_SYSTEM = """\
. /etc/os-release
echo "suite $VERSION_CODENAME"
echo "virt $(systemd-detect-virt -c || :)"
echo "aes $(grep -qm1 '^flags.* aes' /proc/cpuinfo && echo yes || echo no)"
echo "lsm $(cat /sys/kernel/security/lsm)"
echo "apparmor $(cat /sys/module/apparmor/parameters/enabled)"
echo "cmdline $(cat /proc/cmdline)"
echo "core_pattern $(cat /proc/sys/kernel/core_pattern)"
echo "core_limit $(ulimit -Hc)"
echo "banner $(for f in /etc/issue /etc/issue.net /etc/motd; do
grep -qE '\\\\[mrsv]|Debian GNU' $f && echo tells || { [ -s $f ] && echo says || echo none; }; done |
sort -u | tr '\\n' ' ')"
modprobe --showconfig | awk '$1 == "install" && $3 ~ /\\/(true|false)$/ {print "blocked", $2, "yes"}'
echo "modules $(cut -d' ' -f1 /proc/modules | tr '\\n' ' ')"
echo "default_target $(systemctl get-default)"
echo "network_values $(systemctl is-enabled sysctl-reapply-network.service)"
echo "ctrl_alt_del $(systemctl is-enabled ctrl-alt-del.target)"
f=$(systemctl list-units --state=failed --no-legend --plain) || exit 1
echo "$f" | awk 'NF {print "failed", $1}'
"""

# What is loaded, and what the file that is loaded at boot makes in a network namespace that nobody's packets pass.
_FIREWALL = """
command -v nft >/dev/null || exit 127
nft -j list ruleset || exit 1
[ -e /etc/nftables.conf ] || exit 0
echo ON DISK
unshare --net sh -c 'nft -f /etc/nftables.conf && nft -j list ruleset' 2>&1
exit 0
"""


def looks(sysctls: Sequence[str]) -> list[Look]:
    """Every look; `sysctls` are the keys the controls ask for."""
    shown = " ".join(f"-p {name}" for name in UNIT_PROPERTIES)
    running = "systemctl list-units --type=service --state=running --no-legend --plain | cut -d' ' -f1"
    return [
        Look("system", _SYSTEM),
        Look("sshd", _SSHD),
        Look("sysctl", "sysctl -e " + shlex.join(sysctls)),
        Look("ports", "ss -Hltunp"),
        Look("firewall", _FIREWALL),
        Look("pam", _PAM),
        Look("sudo", _SUDO),
        Look("accounts", _ACCOUNTS),
        Look("modes", "stat -c '%a %U:%G %n' " + " ".join(FILES) + "\nexit 0"),
        Look("files", _FILES_FOUND, timedelta(seconds=60)),
        Look("units", f"systemctl show {shown} $({running})\n{_UNITS_NEWER}"),
        Look("stale", _STALE),
        Look("mounts", "findmnt -rno TARGET,FSTYPE,OPTIONS"),
        Look("packages", _PACKAGES + " ".join(UNWANTED) + "\nexit 0"),
        Look("apt", _APT, timedelta(seconds=30)),
        Look("logs", _LOGS),
        Look("time", _TIME),
        Look("certificates", _CERTIFICATES, timedelta(seconds=30)),
    ]
