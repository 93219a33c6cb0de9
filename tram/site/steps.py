"""How a run is carried out: a machine of few states, each journaled before its step, each step safe to begin again.

accepted → verified → snapshot → applying → verifying → confirming → done | failed | reverted | refused
"""

from __future__ import annotations

from typing import Any

from tram.core.canonical import format_time
from tram.site import clock, durable, judge, report
from tram.site.apply import Ended, execute
from tram.site.confirming import Waiting
from tram.site.line import Line
from tram.site.place import Config, Place
from tram.site.refusal import Refusal, record
from tram.site.runs import Run
from tram.site.store import Store
from tram.site.wayback import etckeeper, take_back, take_snapshot, touched


def carry_out(place: Place, config: Config, run: Run) -> None:
    """Bring one run to its end, from wherever it was left."""
    Steps(place, config, run).go()


class Steps:
    """The steps of one run."""

    def __init__(self, place: Place, config: Config, run: Run) -> None:
        self.place = place
        self.config = config
        self.run = run
        self.order = run.order
        self.store = Store(place)

    def go(self) -> None:
        """Do what is left to do."""
        if self.run.document("result.json") is not None:
            report.conclude(self.place, self.run)  # it was over; only the telling was cut off
            return
        try:
            if self.run.state == "accepted":
                self.verify()
            if self.run.state == "verified":
                self.guard()
        except Refusal as refusal:
            record(self.place, refusal, self.run.name, "carrying out")
            self.end("refused", f"{refusal.reason}: {refusal.message}")
            return
        try:
            applied, verified = self.apply()
        except Refusal as refusal:  # the disk lost what it was given: nothing to go on with
            self.end("failed", f"{refusal.reason}: {refusal.message}")
            return
        self.confirm(applied, verified)

    def verify(self) -> None:
        """The order once more, because it may have waited long; then its tree as files.

        Raises: Refusal.
        """
        judge.signed(self.place, self.config, self.order_document(), self.run.signature)
        now = clock.judged(self.place)
        if self.order.expires <= now:
            text = f"the order waited here until {format_time(now)} and expired at {format_time(self.order.expires)}"
            raise Refusal("expired", text)
        judge.room_to_lay_out(self.place, self.order)
        self.lay_out()
        self.run.note(state="verified", boot=clock.boot())
        self.run.tell("state", state="verified")

    def order_document(self) -> Any:
        """The order as it was signed."""
        return durable.read_json(self.run.path / "order.json")

    def lay_out(self) -> None:
        """The tree's files, each as its digest says.

        Raises: Refusal (damaged).
        """
        tree = self.store.tree(self.order.tree)
        if tree is None:
            raise Refusal("damaged", "the tree is not complete here any more", hint="send it again")
        self.store.lay_out(tree, self.run.tree)

    def guard(self) -> None:
        """Keep how the host is, before anything of it is changed. A dry run changes nothing, so it needs no guard."""
        if not self.order.check and self.run.document("snapshot.json") is None:
            take_snapshot(self.place, self.config, self.run)
        line = self._look_at_line() if self.order.confirm_seconds else None
        self.run.note(state="snapshot", line_before=line)
        self.run.tell("state", state="snapshot")

    def apply(self) -> tuple[Ended, Ended | None]:
        """The playbook, then what proves the service. Nothing is done that was done before."""
        if self.run.document("apply.json") is None or self.run.state == "verifying":
            self._repair_tree()
        applied = execute(self.place, self.config, self.run, "apply", check=self.order.check)
        verified = None
        if applied.code == 0 and not self.order.check and (self.run.tree / "verify.yml").is_file():
            verified = execute(self.place, self.config, self.run, "verify")
        return applied, verified

    def _repair_tree(self) -> None:
        """After a power cut files that were written but not yet on the disk may be torn."""
        journal = self.run.journal()
        if journal.get("boot") != clock.boot():
            self.lay_out()
            self.run.note(boot=clock.boot())

    def confirm(self, applied: Ended, verified: Ended | None) -> None:
        """Keep the change, or bring the host back; then the result."""
        failed = self._failure(applied, verified)
        numbers = self._numbers(applied, verified)
        journal = self.run.journal()
        if self.order.check:
            self.end("failed" if failed else "done", failed, **numbers)
            return
        if "touched" not in journal:
            once = journal.get("apply_attempt") == 1
            quiet = once and applied.code == 0 and applied.stats.get("changed") == 0
            journal = self.run.note(touched={} if quiet else touched(self.place, self.config, self.run))
            if not quiet:
                etckeeper(self.config, f"after run {self.run.name}")
        cuts: dict[str, list[str]] = journal["touched"]
        if failed and self._restores_failures():
            take_back(self.place, self.config, self.run, f"{failed}; the tree asks for the previous state then")
            self.end("failed", failed, restored=True, **numbers)
            return
        reason = journal.get("reverting")
        if cuts and self.order.confirm_seconds and not reason:
            verdict = Waiting(self.place, self.config, self.run, cuts, self.order.confirm_seconds).wait()
            reason = verdict.reason if verdict.revert else None
            numbers["confirmed"] = verdict.text
        if reason:
            take_back(self.place, self.config, self.run, reason)
            self.end("reverted", f"{reason}{f'; before that: {failed}' if failed else ''}", **numbers)
            return
        self.end("failed" if failed else "done", failed, **numbers)

    def end(self, outcome: str, reason: str, **more: Any) -> None:
        """The result, on the disk and told."""
        seconds = {"seconds": 0.0, "cpu_seconds": 0.0, "stats": {}, "verify": []}
        report.finish(self.place, self.run, {"outcome": outcome, "reason": reason, **seconds, **more})

    def _failure(self, applied: Ended, verified: Ended | None) -> str:
        """Why the run failed, "" when it did not."""
        if applied.code != 0:
            return "; ".join(applied.failures[:3]) or f"the playbook ended with {applied.code}"
        if verified is not None and verified.code != 0:
            return "applied, but the service does not prove itself: " + (
                "; ".join(verified.failures[:3]) or f"verify.yml ended with {verified.code}"
            )
        return ""

    def _numbers(self, applied: Ended, verified: Ended | None) -> dict[str, Any]:
        both = [applied, *([verified] if verified else [])]
        return {
            "stats": applied.stats,
            "seconds": round(sum(ended.seconds for ended in both), 3),
            "cpu_seconds": round(sum(ended.cpu_seconds for ended in both), 3),
            "verify": self._proofs(verified) if verified else [],
        }

    def _proofs(self, verified: Ended) -> list[dict[str, Any]]:
        """For each role that proves itself, whether it did. A failed task's name begins with its role."""
        proofs: list[dict[str, Any]] = []
        wrong = {failure.partition(" : ")[0]: failure for failure in verified.failures} if verified.code else {}
        for role in sorted(path.parent.parent.name for path in self.run.tree.glob("roles/*/tasks/verify.yml")):
            message = wrong.get(role, "")
            proofs.append({"role": role, "ok": not message, "message": message[:500]})
        if wrong and all(proof["ok"] for proof in proofs):  # none of them by name: then none of them is proven
            proofs = [{**proof, "ok": False, "message": next(iter(wrong.values()))[:500]} for proof in proofs]
        return proofs

    def _restores_failures(self) -> bool:
        """Whether the tree says that a failed run is to be undone (`tram.json`: {"on_failure": "restore"})."""
        found = durable.read_json(self.run.tree / "tram.json")
        return isinstance(found, dict) and found.get("on_failure") == "restore"

    def _look_at_line(self) -> str:
        line = Line(self.place, self.config)
        try:
            return line.look()
        finally:
            line.close()
