"""Data: what of a host is guarded while a change is made, and which changes can cut the site off.

Paths are relative to /, patterns are `fnmatch` ones over the whole path (`*` also matches "/").
"""

from __future__ import annotations

# What a snapshot holds. Beside /etc keys that let the operator in, and what role `control` knows of what stood before:
# it must not say of a control that was taken back that it stands.
ROOTS = ("etc", "root/.ssh", "home/*/.ssh", "var/lib/tram/controls")

# Made from other files, or by other programs' own bookkeeping: not worth guarding, wrong to bring back.
LEFT_ALONE = (
    "etc/.git/*",
    "etc/.etckeeper",
    "etc/.pwd.lock",
    "etc/.updated",
    "etc/adjtime",
    "etc/alternatives/*",
    "etc/ld.so.cache",
    "etc/machine-id",
    "etc/mtab",
    "etc/ssl/certs/*",
)

# What can leave the centre outside, by what it is called in a report. A change of any of these waits for confirmation.
CUTS_OFF: dict[str, tuple[str, ...]] = {
    "sshd": ("etc/ssh/*", "root/.ssh/*", "home/*/.ssh/*", "etc/systemd/system/ssh*", "etc/default/ssh", "etc/hosts.*"),
    "firewall": (
        "etc/nftables*",
        "etc/iptables*",
        "etc/ufw/*",
        "etc/fail2ban/*",
        "etc/default/nftables",
        "etc/systemd/system/*nftables*",
        "etc/systemd/system/*iptables*",
    ),
    "network": (
        "etc/network/*",
        "etc/systemd/network/*",
        "etc/netplan/*",
        "etc/NetworkManager/*",
        "etc/sysctl.conf",
        "etc/sysctl.d/*",
        "etc/dhcp/*",
        "etc/wireguard/*",
    ),
    "resolver": ("etc/resolv.conf", "etc/hosts", "etc/nsswitch.conf", "etc/systemd/resolved.conf*"),
    "users": (
        "etc/passwd",
        "etc/shadow",
        "etc/group",
        "etc/gshadow",
        "etc/sudoers",
        "etc/sudoers.d/*",
        "etc/login.defs",
        "etc/shells",
        "etc/security/*",
        "etc/pam.d/common-*",
        "etc/pam.d/sshd",
        "etc/pam.d/sudo*",
        "etc/pam.d/login",
    ),
}
# Of these, what does nothing by itself: it is read by a unit that a restore stops, or by a line that it takes back.
PASSIVE = (*CUTS_OFF["firewall"], "etc/security/*")
# On a host that runs Postfix the mail carries reports and alarms out, and is what people at the site live by.
CUTS_OFF_MAIL = ("etc/postfix/*", "etc/aliases")
MAIL_UNIT = "postfix.service"

# Units whose coming or going can cut the site off, like a file above.
CUTTING_UNITS = ("ssh.service", "ssh.socket", "nftables.service", "networking.service", "systemd-networkd.service")

# Accounts that came with a package which stays installed own files: they stay too, locked as they are made.
ACCOUNT_FILES = ("etc/passwd", "etc/shadow", "etc/group", "etc/gshadow", "etc/subuid", "etc/subgid")

# After a restore: path pattern → unit that is told, in this order. "restart" where a reload keeps what was wrong.
TELL: tuple[tuple[str, str, str], ...] = (
    ("etc/sysctl.*", "systemd-sysctl.service", "restart"),
    ("etc/network/*", "networking.service", "restart"),
    ("etc/systemd/network/*", "systemd-networkd.service", "restart"),
    ("etc/nftables*", "nftables.service", "restart"),
    ("etc/iptables*", "netfilter-persistent.service", "restart"),
    ("etc/systemd/resolved.conf*", "systemd-resolved.service", "restart"),
    ("etc/systemd/journald.conf*", "systemd-journald.service", "restart"),
    ("etc/ssh/*", "ssh.service", "restart"),
    ("etc/default/ssh", "ssh.service", "restart"),
    ("etc/bind/*", "named.service", "reload-or-restart"),
    ("etc/chrony*", "chrony.service", "restart"),
    ("etc/postfix/*", "postfix.service", "restart"),
    ("etc/dovecot/*", "dovecot.service", "restart"),
    ("etc/rspamd/*", "rspamd.service", "restart"),
    ("etc/nginx/*", "nginx.service", "reload-or-restart"),
    ("etc/php/*", "php*-fpm.service", "restart"),
    ("etc/apt-cacher-ng/*", "apt-cacher-ng.service", "restart"),
    ("etc/fail2ban/*", "fail2ban.service", "restart"),
    ("etc/redis/*", "redis-server.service", "restart"),
)

# Never stopped because a change started them: the machine's own, and ours.
UNITS_LEFT_ALONE = (
    "systemd-*",
    "user@*",
    "user-*",
    "session-*",
    "getty@*",
    "serial-getty@*",
    "console-getty*",
    "tram-*",
)
