"""What an account without rights tries on a host, as data. The ids are those of security/threats.md."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Try:
    """A shell script that ends with 0 when it got what it wanted.

    `right`: what root does to show that the way is there and only the right is missing; the same when nothing is said.
    `hardened`: refused only where playbooks/harden.yml was applied.
    """

    threat: str
    what: str
    shell: str
    right: str = ""
    hardened: bool = False


SSHD = "$(systemctl show -p MainPID --value ssh.service)"
BIND = "python3 -c \"import socket; s = socket.socket(); s.setsockopt(1, 15, 1); s.bind(('0.0.0.0', 25)); s.listen()\""
# PTRACE_SEIZE: attaches without stopping what it traces (ptrace(2)).
TRACE = 'python3 -c "import ctypes, sys; sys.exit(ctypes.CDLL(None).ptrace(0x4206, int(sys.argv[1]), 0, 0) != 0)" '


def _plant(folder: str) -> Try:
    path = f"{folder}/khach"
    return Try("T3.3", f"writes into {folder}", f"cp /etc/hostname {path}", f"cp /etc/hostname {path} && rm {path}")


TRIES = [
    Try("T3.1", "reads the hashes of passwords", "cat /etc/shadow >/dev/null"),
    Try("T3.1", "reads the host's ssh key", "cat /etc/ssh/ssh_host_ed25519_key >/dev/null"),
    Try("T3.1", "reads the host's TLS key", "cat /etc/ssl/tram/host.key >/dev/null"),
    Try("T3.1", "reads people's mail", "ls /var/vmail"),
    Try("T3.1", "looks into the operator's home", "ls /home/tram", hardened=True),
    Try("T3.1", "reads who may do what by sudo", "cat /etc/sudoers.d/90-tram"),
    Try("T3.2", "uses sudo", "sudo -n true"),
    Try("T3.2", "becomes root by su", "su root -c true </dev/null"),
    Try("T3.2", "becomes the operator by su", "su tram -c true </dev/null"),
    Try(
        "T3.2",
        "gets as far as being asked for root's password",
        "su root -c true </dev/null 2>&1 | grep -v 'ermission denied'",
        "grep -q '^auth.*pam_wheel' /etc/pam.d/su",
        hardened=True,
    ),
    *map(_plant, ("/etc/cron.daily", "/etc/systemd/system", "/etc/profile.d", "/etc/sudoers.d", "/usr/local/sbin")),
    Try("T3.3", "adds a second root", "echo 'x::0:0::/:/bin/sh' >>/etc/passwd", "test -w /etc/passwd"),
    Try(
        "T3.3",
        "leaves a job of its own",
        "command -v crontab && echo '* * * * * true' | crontab -",
        "grep -x root /etc/cron.allow",
        hardened=True,
    ),
    Try("T3.3", "looks at what stood before each control", "ls /var/lib/tram/controls", hardened=True),
    Try("T3.4", "changes the network", "ip link set lo mtu 65000", "ip link set lo mtu 65536"),
    Try("T3.4", "renames the host", "hostname khach", 'hostname "$(hostname)"'),
    Try("T3.4", "lists the firewall", "nft list ruleset | grep .", hardened=True),
    Try("T3.4", "mounts a file system", "mount -t tmpfs none /mnt", "mount -t tmpfs none /mnt && umount /mnt"),
    Try("T3.5", "reads the journal", "journalctl -q -n1 --no-pager -u ssh.service | grep ."),
    Try("T3.5", "reads what others did by sudo", "cat /var/log/sudo.log >/dev/null", hardened=True),
    Try("T3.6", "gives the host an order", "/usr/local/sbin/tram-site exchange </dev/null", "test -d /var/lib/tram"),
    Try("T3.7", "removes another's file from /tmp", "rm /tmp/cua-root </dev/null", "test -e /tmp/cua-root"),
    Try("T2.4", "listens where the mail server does", BIND, "ss -Hltn sport = :25 | grep ."),
    Try("T2.5", "stops sshd", f"kill -0 {SSHD}"),
    Try("T2.5", "reads the environment of sshd", f"cat /proc/{SSHD}/environ >/dev/null"),
    Try("T2.5", "traces sshd", TRACE + SSHD),
]

# Tried where the thing itself is: by what, or why not here.
ELSEWHERE = {
    "T2.1": "T3.2 is tried as www-data too",
    "T2.2": "T3.1 is tried as www-data too",
    "T2.3": "T3.3 is tried as www-data too",
    "T7.3": "what the centre forwards: tests/unit/act; that sshd refuses it: ssh-no-forwarding, judged from outside",
    "T7.6": "tests/stories/test_certificates.py",
    "T7.7": "tests/stories/test_mail.py",
    "T7.12": "roles/intrusion, tasks/verify.yml",
}
