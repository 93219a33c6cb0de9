"""The hub's directory over the operator's connection: root there may write, and nothing secret is in a command line."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from tram.accounts.directory import Said
from tram.act.outcome import StepFailed
from tram.act.session import Session

SEARCHED = timedelta(minutes=2)
CHANGED = timedelta(minutes=10)
"""ldapmodify says nothing until the end; hashing a password takes the directory a good part of a second."""

_LOCAL = ("-Q", "-Y", "EXTERNAL", "-H", "ldapi:///")


@dataclass(frozen=True, slots=True)
class HubDirectory:
    """A `Door` of tram.accounts: the directory's own programs, run by sudo on the hub."""

    session: Session

    @property
    def name(self) -> str:
        """The hub's host."""
        return self.session.target.name

    def search(self, base: str, filter_: str, attributes: tuple[str, ...]) -> Said:
        """Raises: NotReached."""
        argv = ["ldapsearch", *_LOCAL, "-LLL", "-o", "ldif-wrap=no", "-b", base, filter_, *attributes]
        return self._run(argv, "", SEARCHED)

    def change(self, text: str) -> Said:
        """Raises: NotReached."""
        return self._run(["ldapmodify", *_LOCAL], text, CHANGED)

    def _run(self, argv: Sequence[str], stdin: str, within: timedelta) -> Said:
        answer = self.session.run(shlex.join(["sudo", "-n", *argv]), stdin=stdin, within=within)
        return Said(answer.code, answer.stdout, answer.stderr)


def mail_counters(session: Session) -> str:
    """What `tram-mail-counters` of a mail host prints.

    Raises: StepFailed, NotReached.
    """
    answer = session.run("sudo -n tram-mail-counters", within=SEARCHED)
    if answer.code != 0:
        raise StepFailed(
            f"{session.target.name}: {answer.last_words}",
            hint="run playbooks/mail.yml for it: the counters come with the role",
        )
    return answer.stdout


def hand_in(session: Session, message: str) -> None:
    """Give a message to the host's own mail server; to whom it goes stands in it.

    Raises: StepFailed, NotReached.
    """
    answer = session.run("sudo -n /usr/sbin/sendmail -oi -t", stdin=message, within=SEARCHED)
    if answer.code != 0:
        raise StepFailed(
            f"{session.target.name}: {answer.last_words}", hint="the slips are in their folder; print them"
        )
