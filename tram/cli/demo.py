"""`tram demo`: the whole job on the province in a box: hosts, roles, proof."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner
from rich.table import Table

from tram.act.bootstrap import Entry, bootstrap
from tram.act.key import make_key
from tram.act.outcome import Outcome
from tram.act.target import targets
from tram.cli.carrying import begin, carry, put_together
from tram.cli.deliver_view import View
from tram.cli.i18n import _, both
from tram.cli.rollout_words import size
from tram.core.errors import TramError
from tram.delivery.host import Way
from tram.delivery.returned import forget
from tram.lab.lab import Lab, up
from tram.ledger import Outcome as Delivery
from tram.ledger import open_ledger
from tram.proof.page import STATES, Webmail, render
from tram.proof.results import Proof, read_proofs, verdict
from tram.push.playbook import Recap, TaskResult, run_playbook
from tram.register import Province
from tram.rollout.targets import targets as aims

Stats = dict[str, dict[str, int]]
"""By host: how many tasks were ok, changed, failures."""

VERIFY_RESULTS = Path("build/verify")
_NOT_OF_SITE = {"harden"}
"""Proofs of what playbooks/site.yml does not do. Those of stacks that no host of the province has prove nothing."""
PAGE = Path("build/demo/index.html")
_MARKS = {True: "[green]✔[/]", False: "[red]✘[/]", None: "[yellow]?[/]"}
_console = Console(highlight=False)


class DemoFailed(TramError):
    """A step of the demo failed; what it said stands above."""


def demo(
    inventory: Annotated[Path, typer.Option("--inventory", "-i", help=_("The province's folder."))] = Path(
        "inventories/lab"
    ),
    name: Annotated[
        str | None, typer.Option("--name", "-n", help=_("Which lab. Default: $TRAM_LAB, else 'lab'."))
    ] = None,
    push: Annotated[bool, typer.Option("--push", help=_("Plain Ansible, task by task over the line."))] = False,
    as_json: Annotated[bool, typer.Option("--json", help=_("Print the results as JSON."))] = False,
) -> None:
    """Provision the province in a box and prove its mail: lab up, bootstrap, every role, every verify play.

    Roles are delivered: each host gets one signed bundle over its line and carries it out by itself.

    Run it again and nothing changes. Take the lab away with: tram lab down
    """
    began = time.monotonic()
    out = Console(stderr=True, highlight=False) if as_json else _console
    lab = up(inventory, name, lambda line: out.print(f"[dim]lab:[/] {line}"))
    os.environ["TRAM_LAB"] = lab.paths.name  # what comes after asks for the lab's lines by it
    _bootstrap(lab.province, out)
    site = Path("playbooks/site.yml")
    stats = _play(out, site, inventory, lab).stats if push else _deliver(out, site, lab.province)
    for file in VERIFY_RESULTS.glob("*.json"):
        file.unlink()  # what an earlier run proved is no proof of this one
    proofs: list[Proof] = []
    for playbook in proofs_of_site():
        verified = _play(out, playbook, inventory, lab)
        told = VERIFY_RESULTS / f"{playbook.stem}.json"
        proofs += read_proofs(told) if told.exists() else _proofs(lab.province, verified)
    webmail = _webmail(lab)
    took = timedelta(seconds=time.monotonic() - began)
    changed = sum(counts["changed"] for counts in stats.values())
    page = render(lab.province, proofs, when=datetime.now(UTC), took=took, changed=changed, webmail=webmail)
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page)
    if as_json:
        typer.echo(json.dumps({"stats": stats, "proofs": [asdict(p) for p in proofs]}, ensure_ascii=False))
    else:
        _show(lab.province, proofs, stats, webmail, took)
    if verdict(proofs) is not True:
        raise DemoFailed(
            "not everything is proven", hint="see the rows marked ✘ or ?; run the demo again after mending"
        )


def proofs_of_site() -> list[Path]:
    """The verify plays that prove what playbooks/site.yml does."""
    return [play for play in sorted(Path("playbooks/verify").glob("*.yml")) if play.stem not in _NOT_OF_SITE]


def _bootstrap(province: Province, out: Console) -> None:
    key = make_key(province.secrets_dir, f"tram@{province.code}")
    hosts = targets(province, [], every=True)
    results = bootstrap(hosts, Entry(agent=False), key, afresh=lambda name: forget(province.secrets_dir, name))
    bad = [result for result in results if result.outcome is not Outcome.DONE]
    for result in bad:
        out.print(f"[red]{result.name}[/]: {escape(str(result.problem))}")
    if bad:
        raise DemoFailed(f"{len(bad)} of {len(results)} hosts could not be taken over")
    fresh = sum(bool(result.changes) for result in results)
    out.print(f"[dim]host:[/] {len(results)} managed, {fresh} of them taken over just now")


def _deliver(out: Console, playbook: Path, province: Province) -> Stats:
    """Deliver one playbook to every host; what each did, added up over its runs."""
    began = time.monotonic()
    ledger = open_ledger(province.code)
    with View(out) as view:
        every = [host for _site, host in aims(playbook, province).hosts]
        contents = put_together(province, playbook.resolve(), every)
        jobs = begin(ledger, province, playbook.resolve(), every)
        results = carry(ledger, province, jobs, view, contents=contents, way=Way())
    stats: Stats = {}
    for result in results:
        told = ledger.events(result.run, result.host, kind="result")
        of = told[-1].body.get("stats", {}) if told else {}
        counts = stats.setdefault(result.host, {"ok": 0, "changed": 0, "failures": 0})
        for ours, theirs in (("ok", "ok"), ("changed", "changed"), ("failures", "failed")):
            counts[ours] += of.get(theirs, 0)
    hosts = ", ".join(f"{host} changed={counts['changed']}" for host, counts in stats.items())
    carried = f"{size(sum(result.sent for result in results))} sent"
    out.print(f"[dim]deliver:[/] {playbook}: {hosts} ({carried}, {time.monotonic() - began:.0f} s)")
    bad = [result for result in results if result.ended.outcome is not Delivery.DONE]
    for result in bad:
        out.print(f"  [red]{result.host}: {escape(result.ended.reason)}[/]")
    if bad:
        raise DemoFailed(f"{playbook} is not done on {len(bad)} hosts", hint=f"tram runs show {bad[0].run}")
    return stats


def _play(out: Console, playbook: Path, inventory: Path, lab: Lab) -> Recap:
    """Run one playbook with a live line; print its recap, and on failure what failed."""
    began = time.monotonic()
    spinner = Spinner("dots", text=str(playbook))
    with Live(spinner, console=out, transient=True, refresh_per_second=4):
        done = 0

        def follow(result: TaskResult) -> None:
            nonlocal done
            done += result.status != "skipped"
            spinner.update(text=f"{playbook}: {done} · {result.host}: {escape(result.task)}")

        recap = run_playbook(playbook, inventory, env={"TRAM_LAB": lab.paths.name}, follow=follow)
    hosts = ", ".join(
        f"{host} changed={counts['changed']}" for host, counts in recap.stats.items() if host != "localhost"
    )
    out.print(f"[dim]play:[/] {playbook}: {hosts} ({time.monotonic() - began:.0f} s)")
    if recap.code != 0:
        for failure in recap.failures():
            out.print(f"  [red]{escape(failure)}[/]")
        raise DemoFailed(f"{playbook} failed", hint=f"ansible-playbook -i {inventory} {playbook}")
    return recap


def _proofs(province: Province, verified: Recap) -> list[Proof]:
    """What a verify play proved that writes no results of its own: each task of a role is a proof, named by itself."""
    site_of = {host.inventory_name: site.code for site in province.sites for host in site.hosts}
    ok = {"ok": True, "changed": True, "failed": False}
    return [
        Proof(site_of[result.host], service, proof, ok.get(result.status))
        for result in verified.results
        for service, _colon, proof in [result.task.partition(" : ")]
        if proof and result.status != "skipped" and result.host in site_of and service != "preflight"
    ]


def _webmail(lab: Lab) -> Webmail | None:
    hub = lab.province.hub
    host = next((host for host in hub.hosts if "webmail" in host.functions), None)
    if host is None:
        return None
    return Webmail(
        url=f"https://webmail.{hub.domain}/",
        user=f"van-thu@{hub.domain}",
        password_file=f"{lab.province.secrets_dir}/mail/{hub.domain}/van-thu",
        tunnel=f"ssh -F {lab.paths.state}/ssh_config -N -L 8443:webmail.{hub.domain}:443 {host.inventory_name}",
    )


def _show(province: Province, proofs: Sequence[Proof], stats: Stats, webmail: Webmail | None, took: timedelta) -> None:
    table = Table(both("Site"), both("Service"), both("Proof"), title=province.name)
    for site in province.sites:
        mine = [proof for proof in proofs if proof.site == site.code]
        for number, service in enumerate(dict.fromkeys(proof.service for proof in mine)):
            of_service = [proof for proof in mine if proof.service == service]
            table.add_row(site.name if number == 0 else "", service, _summary(of_service))
        if not mine:
            table.add_row(site.name, "", f"{_MARKS[None]} {STATES[None]}")
    _console.print(table)
    for host, counts in stats.items():
        if host != "localhost":
            _console.print(f"  {host}: ok={counts['ok']} changed={counts['changed']} failed={counts['failures']}")
    _console.print(f"  {_('in {minutes:.1f} minutes').format(minutes=took.total_seconds() / 60)}; {PAGE}")
    if webmail:
        _console.print(f"  webmail: {webmail.url}  {_('test login')}: {webmail.user}")
        _console.print(f"  {_('password is in')} {webmail.password_file}")
        _console.print(f"  {_('to open it from this machine')}: {webmail.tunnel}")


def _summary(proofs: Sequence[Proof]) -> str:
    """How many held, and in full those that did not; the page has them all."""
    held = sum(proof.ok is True for proof in proofs)
    rest = [f"{_MARKS[proof.ok]} {escape(proof.proof)}" for proof in proofs if proof.ok is not True]
    return "\n".join([f"{_MARKS[verdict(list(proofs))]} {held}/{len(proofs)}", *rest])
