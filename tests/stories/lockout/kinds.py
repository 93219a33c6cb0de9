"""Ways to lock the centre out, as one would do it by hand, and the word the host must find for each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """`word`: what the report calls it; `script`: the harm, in effect at once and after a reboot."""

    word: str
    script: str


_DROP = "table inet shut { chain i { type filter hook input priority 0; policy drop; }; }"
_FLUSH = "/usr/sbin/ip address flush dev host0"
_AT_BOOT = f"[Service]\\nType=oneshot\\nExecStart={_FLUSH}\\n[Install]\\nWantedBy=multi-user.target\\n"
_SSHD = "/etc/ssh/sshd_config.d/10-lockout.conf"

KINDS = {
    "sshd refuses the centre's key": Kind(
        "sshd", f"echo 'AuthorizedKeysFile none' >>{_SSHD}; sshd -t; systemctl restart ssh"
    ),
    "wrong AllowGroups": Kind("sshd", f"echo 'AllowGroups mail-admins' >>{_SSHD}; sshd -t; systemctl restart ssh"),
    "the firewall drops the centre": Kind(
        "firewall", f"echo '{_DROP}' >/etc/nftables.conf; systemctl enable nftables; systemctl restart nftables"
    ),
    "broken sudoers": Kind(
        "users",
        "printf 'Defaults nonsense ((\\nALL ALL=(ALL) !ALL\\n' >/etc/sudoers.d/99-lockout; chmod 666 /etc/sudoers",
    ),
    "PAM rejects everybody": Kind(
        "users", "sed -i '1i account required pam_deny.so' /etc/pam.d/common-account; chmod 600 /etc/pam.d/sshd"
    ),
    "the network is down": Kind(
        "network",
        f"printf '{_AT_BOOT}' >/etc/systemd/system/down.service; mkdir -p /etc/network;"
        f" echo 'iface host0 inet manual' >>/etc/network/interfaces; systemctl enable down; {_FLUSH}",
    ),
}
