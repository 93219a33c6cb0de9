"""What makes a centre go on by itself, with rollouts and with staging: two units of systemd for each."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from pathlib import Path

from sqlalchemy.engine import make_url

from tram.core.errors import BadInput
from tram.core.run import run
from tram.register import Province
from tram.rollout.policy import Policy

# What decides where ledger, secrets and lab are must be the same for the timer as for the operator who installs it.
_KEPT = ("TRAM_LEDGER", "TRAM_SECRETS", "TRAM_LAB", "XDG_CACHE_HOME", "LANG")


@dataclass(frozen=True, slots=True)
class Call:
    """What systemd is to call: `command` of `tram` with its arguments, for a province; `timing`: the lines of [Timer].
    Ended when it takes `longest` (None: never)."""

    name: str
    command: str
    what: str
    when: str
    timing: str
    arguments: Sequence[str] = ()
    longest: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Units:
    """The text of a service and of its timer, and the name they share."""

    name: str
    service: str
    timer: str


def going_on(province: Province, every: timedelta) -> Call:
    """Go on with the rollouts, again and again."""
    what = f"go on with the rollouts of {province.code}, and try again whoever was not reached"
    timing = f"""\
OnActiveSec=30
OnBootSec=120
OnUnitInactiveSec={every.total_seconds():.0f}
RandomizedDelaySec={max(1, every.total_seconds() / 10):.0f}
"""
    return Call(f"tram-rollout-{province.code}", "rollout resume", what, f"every {every.total_seconds():.0f} s", timing)


def each_night(province: Province, policy: Policy, stacks: Sequence[str] = ()) -> Call:
    """Stage the next waves as soon as the lines' quiet hours begin, and once an hour until they end: a line that was
    down is up again, and whoever has everything is not asked again that night."""
    opens = datetime.combine(date(2000, 1, 2), time.fromisoformat(policy.quiet.since), timezone(policy.utc_offset))
    first = opens.astimezone(UTC)
    count = max(1, policy.quiet.length // timedelta(hours=1))
    hours = ",".join(f"{hour:02}" for hour in sorted((first.hour + n) % 24 for n in range(count)))
    # No catching up by day (Persistent=): the lines are people's then.
    timing = f"OnCalendar=*-*-* {hours}:{first.minute:02}:00 UTC\nAccuracySec=1min\n"
    quiet = f"from {policy.quiet.since} to {policy.quiet.until}, once an hour"
    what = f"have near the hosts of {province.code} what their next wave needs"
    return Call(
        f"tram-stage-{province.code}", "stage night", what, quiet, timing,
        arguments=tuple(stacks), longest=policy.quiet.length,
    )  # fmt: skip


def behind_the_night(policy: Policy) -> str:
    """When the lines' quiet hours have been over for half an hour, and everything has come: HH:MM, UTC."""
    ends = datetime.combine(date(2000, 1, 2), time.fromisoformat(policy.quiet.until), timezone(policy.utc_offset))
    return f"{(ends + timedelta(minutes=30)).astimezone(UTC):%H:%M}"


def make_units(province: Province, call: Call, *, project: Path, environment: Mapping[str, str] = os.environ) -> Units:
    """Units that call `tram` for this province, as the account that installs them.

    `project`: where the playbooks are named from, the directory `tram` is called in.

    Raises: BadInput when the ledger's address has a password in it, which everybody could read then.
    """
    given = {name: environment[name] for name in _KEPT if environment.get(name)}
    if "TRAM_LEDGER" in given and make_url(given["TRAM_LEDGER"]).password:
        raise BadInput("TRAM_LEDGER has a password in it, and a unit is read by all", hint="put it into ~/.pgpass")
    tram = Path(sys.executable).with_name("tram")
    environment_lines = "".join(f"Environment={_quoted(f'{key}={value}')}\n" for key, value in given.items())
    arguments = " ".join(
        _quoted(word).replace("$", "$$") for word in (str(province.folder.resolve()), *call.arguments)
    )  # fmt: skip
    bound = "infinity" if call.longest is None else f"{call.longest.total_seconds():.0f}"
    service = f"""\
# Written by: tram {call.command.split()[0]} timer
[Unit]
Description={call.what[0].upper()}{call.what[1:]}
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
WorkingDirectory={_word(project)}
{environment_lines}ExecStart={_word(tram)} {call.command} --inventory {arguments}
# As long as the lines make it. Killed at any moment, the next call goes on.
TimeoutStartSec={bound}
Nice=5
"""
    timer = f"""\
# Written by: tram {call.command.split()[0]} timer
[Unit]
Description={call.when[0].upper()}{call.when[1:]}: {call.what}

[Timer]
{call.timing}
[Install]
WantedBy=timers.target
"""
    return Units(call.name, service, timer)


def unit_folder() -> Path:
    """Where an account's units belong: root's are the machine's. Source: systemd.unit(5)."""
    if os.geteuid() == 0:
        return Path("/etc/systemd/system")
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "systemd/user"


def install_units(units: Units, folder: Path) -> list[Path]:
    """Write the units where they differ, and start the timer; what was written. Again changes nothing.

    Raises: BadInput where systemd is not in charge; ProgramFailed with systemd's own words.
    """
    if not Path("/run/systemd/system").is_dir():
        raise BadInput(
            "systemd does not run this machine, so it has no timers",
            hint="let cron call the ExecStart line that the same command prints without --install",
        )
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for suffix, text in (("service", units.service), ("timer", units.timer)):
        path = folder / f"{units.name}.{suffix}"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            written.append(path)
    systemctl = ["systemctl", *([] if os.geteuid() == 0 else ["--user"])]
    if written:
        run([*systemctl, "daemon-reload"])
    run([*systemctl, "enable", "--now", "--quiet", f"{units.name}.timer"])
    return written


def _word(path: Path) -> str:
    """A path that is the first word of a setting, where systemd takes no quotes."""
    if any(character.isspace() or character in "\"'\\" for character in str(path)):
        raise BadInput(f'"{path}": a unit cannot name this', hint="move it to a path without spaces and quotes")
    return str(path).replace("%", "%%")


def _quoted(text: str) -> str:
    """One word of a unit, whatever is in it. Source: systemd.syntax(7), QUOTING; systemd.unit(5), SPECIFIERS."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'
