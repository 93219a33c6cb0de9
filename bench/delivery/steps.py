"""role60 (bench/executor) in pyinfra's own words: the same 60 steps, from the same defaults, files and templates.

    pyinfra inventory.py steps.py -y

What Ansible loops over is one operation each. Handlers are operations `_if` something changed. What only looks or
checks is `server.shell`, which pyinfra counts as changed each time.
"""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import yaml
from pyinfra import config, host
from pyinfra.facts.files import File
from pyinfra.facts.server import LinuxDistribution
from pyinfra.operations import apt, files, server, systemd
from pyinfra.operations.util import any_changed

config.SUDO = True

ROLE = Path(__file__).resolve().parents[1] / "executor/role60"
GIVEN: dict[str, Any] = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
DOMAIN, TIMEZONE, USERS = GIVEN["role60_domain"], GIVEN["role60_timezone"], GIVEN["role60_users"]


def text(name: str, dest: str, content: str, mode: str = "644") -> Any:
    """A file of this content."""
    return files.put(name=name, src=StringIO(content), dest=dest, mode=mode)


def template(name: str, src: str, dest: str, mode: str = "644", **more: Any) -> Any:
    """A file from one of the role's templates."""
    words = GIVEN | {"ansible_managed": "Managed by pyinfra", "inventory_hostname": host.name} | more
    return files.template(
        name=name,
        src=str(ROLE / "templates" / f"{src}.j2"),
        dest=dest,
        mode=mode,
        jinja_env_kwargs={"trim_blocks": True},
        **words,
    )


def check(name: str, command: str, **more: Any) -> Any:
    """A command that must end with 0."""
    return server.shell(name=name, commands=[command], **more)


# Preflight
release = host.get_fact(LinuxDistribution)
assert release["name"] == "Debian"
codename = release["release_meta"]["CODENAME"]
fstab = host.get_fact(File, path="/etc/fstab")

# Install
apt.packages(
    name="Base packages",
    packages=["cron", "logrotate", "rsyslog", "acl", "lsof", "psmisc"],
    update=True,
    cache_time=86400,
)
apt.packages(name="Firewall packages", packages=["nftables"])
apt.packages(name="Mail transfer packages", packages=["postfix", "postfix-pcre"], no_recommends=True)
apt.packages(name="Mailbox packages", packages=["dovecot-core", "dovecot-imapd"], no_recommends=True)
apt.packages(name="No packages that open doors", packages=["telnetd", "rsh-server"], present=False)

# System
files.link(name="Time zone", path="/etc/localtime", target=f"/usr/share/zoneinfo/{TIMEZONE}")
text("Time zone's name", "/etc/timezone", f"{TIMEZONE}\n")
for path in ("/etc/systemd/journald.conf.d", "/etc/rsyslog.d", "/etc/sysctl.d", "/etc/tram", "/var/lib/tram-bench"):
    files.directory(name=f"Folder {path}", path=path, mode="755")
journald = template("Journal", "journald.conf", "/etc/systemd/journald.conf.d/60-bench.conf")
rsyslog = template("Log files", "rsyslog.conf", "/etc/rsyslog.d/60-bench.conf")
check("Log files, checked", "rsyslogd -N1 -f /etc/rsyslog.d/60-bench.conf", _if=rsyslog.did_change)
template("Rotation of log files", "logrotate", "/etc/logrotate.d/bench")
template("Kernel settings", "sysctl.conf", "/etc/sysctl.d/60-bench.conf")
files.put(name="Limits", src=str(ROLE / "files/limits.conf"), dest="/etc/security/limits.d/60-bench.conf", mode="644")
for key, value in (("UMASK", "027"), ("PASS_MAX_DAYS", "365"), ("PASS_WARN_AGE", "14"), ("LOGIN_RETRIES", "3")):
    files.line(
        name=f"Login definitions: {key}", path="/etc/login.defs", line=rf"^\s*{key}\s.*", replace=f"{key}\t{value}"
    )
files.block(
    name="Shell defaults",
    path="/etc/bash.bashrc",
    marker="# {mark} bench",
    content=["HISTTIMEFORMAT='%F %T '", "HISTSIZE=5000"],
)
template("Words of greeting", "motd", "/etc/motd", __role60_release=codename)
if fstab:
    files.file(name="Old greeting scripts stay silent", path="/etc/update-motd.d/10-uname", mode="644")
sshd = template("Ssh server", "sshd.conf", "/etc/ssh/sshd_config.d/60-bench.conf", "600")
check("Ssh server, checked", "sshd -t", _if=sshd.did_change)
template("Firewall, written but not loaded", "nftables.conf", "/etc/tram/nftables.conf", "640")
text(
    "Nightly order",
    "/etc/cron.d/bench",
    "#Managed by pyinfra: bench order\n17 3 * * * root /usr/bin/find /var/lib/tram-bench -mtime +30 -delete\n",
)
for name in ("bench-report", "bench-clean"):
    files.put(name=f"Script {name}", src=str(ROLE / "files" / name), dest=f"/usr/local/sbin/{name}", mode="755")

# Users
for name in GIVEN["role60_groups"]:
    server.group(name=f"Group {name}", group=name, system=True)
for user in USERS:
    server.user(  # noqa: S604
        name=f"Account {user['name']}",
        user=user["name"],
        comment=user["comment"],
        groups=user["groups"] or None,
        append=True,
        shell="/bin/bash",
        password="*",  # noqa: S106 (none at all)
        create_home=True,
    )
for folder in (".ssh", "Maildir"):
    for user in USERS:
        name = user["name"]
        files.directory(name=f"{folder} of {name}", path=f"/home/{name}/{folder}", user=name, group=name, mode="700")
sudoers = text("Rights of administrators", "/etc/sudoers.d/60-bench", "%tram-admin ALL=(ALL:ALL) ALL\n", "440")
check("Rights of administrators, checked", "visudo -cf /etc/sudoers.d/60-bench", _if=sudoers.did_change)
server.user(name="Nobody of the installation's games", user="gamer", present=False)

# Mail
text("Mail name", "/etc/mailname", f"{DOMAIN}\n")
for name in ("maps", "checks"):
    files.directory(name=f"Postfix folder {name}", path=f"/etc/postfix/{name}", mode="755")
postfix = [template("Postfix main file", "main.cf", "/etc/postfix/main.cf")]
for name in ("transport", "senders", "recipients"):
    table = template(f"Postfix table {name}", name, f"/etc/postfix/maps/{name}")
    check(f"Postfix table {name}, compiled", f"postmap hash:/etc/postfix/maps/{name}", _if=table.did_change)
    postfix.append(table)
postfix.append(text("Header checks", "/etc/postfix/checks/headers.pcre", "/^X-Originating-IP:/ IGNORE\n"))
aliases = [
    files.line(name=f"Alias {key}", path="/etc/aliases", line=f"^{key}:.*", replace=f"{key}: {value}")
    for key, value in GIVEN["role60_aliases"].items()
]
check("Aliases, compiled", "newaliases", _if=any_changed(*aliases))
check("Postfix's whole settings are understood", "! postconf -n 2>&1 | grep 'unused parameter'")
postfix.append(
    files.block(
        name="Submission service",
        path="/etc/postfix/master.cf",
        marker="# {mark} bench",
        content=[
            "submission inet n - y - - smtpd",
            "  -o syslog_name=postfix/submission",
            "  -o smtpd_client_restrictions=permit_mynetworks,reject",
        ],
    )
)
for path in ("/etc/dovecot/bench", "/var/lib/tram-bench/sieve"):
    files.directory(name=f"Folder {path}", path=path, mode="755")
PIECES = {
    "limits": "# imap_hibernate_timeout = 0",
    "logging": "# log_path = syslog",
    "quota": "# quota off",
    "mailboxes": "# as delivered",
}
dovecot = [
    template(f"Dovecot piece {name}", "dovecot", f"/etc/dovecot/bench/{name}.conf", item={"lines": [line]})
    for name, line in PIECES.items()
]
dovecot.append(
    files.line(
        name="Dovecot reads its pieces",
        path="/etc/dovecot/dovecot.conf",
        line=r"^!include_try bench/\*\.conf$",
        replace="!include_try bench/*.conf",
    )
)
files.put(
    name="Default filter",
    src=str(ROLE / "files/default.sieve"),
    dest="/var/lib/tram-bench/sieve/default.sieve",
    mode="644",
)

# Run
units = [
    template(f"Unit {name}", name, f"/etc/systemd/system/{name}")
    for name in ("bench-report.service", "bench-report.timer", "bench-clean.service", "bench-clean.timer")
]
for name in ("postfix", "dovecot", "cron"):
    files.directory(name=f"Overrides' folder {name}", path=f"/etc/systemd/system/{name}.service.d", mode="755")
units += [
    text(
        f"Override of {name}",
        f"/etc/systemd/system/{name}.service.d/60-bench.conf",
        "[Service]\nMemoryAccounting=yes\n",
    )
    for name in ("postfix", "dovecot", "cron")
]
systemd.daemon_reload(name="Reload units", _if=any_changed(*units))
for name, why, verb in (
    ("systemd-journald", [journald], "restart"),
    ("rsyslog", [rsyslog], "restart"),
    ("ssh", [sshd], "reload"),
    ("postfix", postfix, "restart"),
    ("dovecot", dovecot, "restart"),
):
    systemd.service(
        name=f"{verb} {name}",
        service=f"{name}.service",
        restarted=verb == "restart",
        reloaded=verb == "reload",
        _if=any_changed(*why),
    )
for name in ("cron.service", "rsyslog.service", "postfix.service", "dovecot.service"):
    systemd.service(name=f"{name} runs", service=name, running=True, enabled=True)
for name in ("bench-report.timer", "bench-clean.timer"):
    systemd.service(name=f"{name} runs", service=name, running=True, enabled=True)
systemd.service(name="The firewall's own unit stays off", service="nftables.service", running=None, enabled=False)

# Verify
GREETING = 'exec 3<>/dev/tcp/127.0.0.1/25 && read -t 5 -r said <&3 && [[ $said == "220 "* ]]'
check("The mail server greets", f"timeout 30 bash -c '{GREETING}'")
check("The mailbox server listens", "timeout 30 bash -c 'exec 3<>/dev/tcp/127.0.0.1/143'")
check("Settings are nobody else's to write", 'test -z "$(find /etc/postfix/main.cf -perm -o=w)"')
check("The mail name is ours", f'test "$(cat /etc/mailname)" = {DOMAIN}')
check("Count the log files", "find /var/log -maxdepth 1 -name '*.log' | wc -l")
