"""Door for plain Fabric: `fab -r scripts bootstrap …`, `fab -r scripts collect-logs …`. The work is in tram.act."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from fabric import task
from invoke import Context, Exit

from tram.act.bootstrap import Entry, bootstrap
from tram.act.connect import FirstContact
from tram.act.journal import collect_journals
from tram.act.key import make_key
from tram.act.outcome import HostResult, Outcome
from tram.act.password import read_password
from tram.act.target import targets
from tram.core.errors import TramError
from tram.register import load


def end(results: list[HostResult]) -> None:
    """Print how each host ended; 1 when one is not done."""
    for result in results:
        reason = f"{result.problem} ({result.problem.hint})" if result.problem else ", ".join(result.changes)
        print(f"{result.name}: {result.outcome}: {reason or 'nothing to do'}")
    if any(result.outcome is not Outcome.DONE for result in results):
        raise Exit(code=1)


@task(name="bootstrap", help={"host": "names, with commas (default: all)", "password-file": "root's password, 0600"})
def take_over(
    _c: Context,
    inventory: str,
    host: str = "",
    password_file: str = "",
    fingerprint: str = "",
    accept_new: bool = False,
) -> None:
    """Make bare hosts managed ones: identity pinned, operator account, the centre's key, sudo."""
    try:
        province = load(Path(inventory))
        chosen = targets(province, host.split(",") if host else [], every=not host)
        password = read_password(Path(password_file)) if password_file else None
        entry = Entry(password=password, first=FirstContact(fingerprint, accept_new), agent=not province.lab)
        end(bootstrap(chosen, entry, make_key(province.secrets_dir, f"tram@{province.code}")))
    except TramError as error:
        raise Exit(f"error: {error.message}\nhint:  {error.hint}", code=error.exit_code) from error


@task(help={"host": "names, with commas (default: all)", "hours": "how far back"})
def collect_logs(_c: Context, inventory: str, host: str = "", hours: float = 24.0, folder: str = "build/logs") -> None:
    """Fetch the hosts' journals into build/logs/<host>.journal.gz."""
    try:
        province = load(Path(inventory))
        chosen = targets(province, host.split(",") if host else [], every=not host)
        key = make_key(province.secrets_dir, f"tram@{province.code}")
        end(collect_journals(chosen, key, timedelta(hours=hours), Path(folder)))
    except TramError as error:
        raise Exit(f"error: {error.message}\nhint:  {error.hint}", code=error.exit_code) from error
