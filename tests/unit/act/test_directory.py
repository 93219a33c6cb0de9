"""What the hub and the mail hosts are told to run for people's accounts, and what is made of their answers."""

from __future__ import annotations

from typing import Any

import pytest

from tram.accounts.directory import DirectoryFailed, read_state
from tram.act.directory import HubDirectory, hand_in, mail_counters
from tram.act.outcome import NotReached, StepFailed
from tram.act.session import Session

pytestmark = pytest.mark.slow

ROOT = "-Q -Y EXTERNAL -H ldapi:///"


def test_what_is_changed_is_in_no_command_line(hub: Any, session: Session) -> None:
    hub.programs["ldapmodify"] = (0, "", "")
    with session:
        assert HubDirectory(session).change("dn: x\nuserPassword: bi-mat\n\n").code == 0
    assert hub.commands[-1] == f"sudo -n ldapmodify {ROOT}"
    assert not any("bi-mat" in command for command in hub.commands)


def test_everybody_is_asked_for_as_root_of_the_hub(hub: Any, session: Session) -> None:
    hub.programs["ldapsearch"] = (0, "dn: ou=huong-khe,ou=district,dc=tinh,dc=example\nou: huong-khe\n\n", "")
    with session:
        state = read_state(HubDirectory(session), "tinh.example")
    assert (state.people, [*state.agencies]) == ((), ["huong-khe"])
    search = f"sudo -n ldapsearch {ROOT} -LLL -o ldif-wrap=no -b dc=tinh,dc=example "
    assert [command.startswith(search) for command in hub.commands[-2:]] == [True, True]
    assert not any(" userPassword" in command for command in hub.commands)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((1, "", "sudo: ldapsearch: command not found"), "hub1: is no directory server"),
        ((32, "", "No such object (32)"), "hub1: No such object"),
        ((255, "", "ldap_sasl_interactive_bind: Can't contact LDAP server (-1)"), "the directory does not answer"),
    ],
)
def test_a_hub_that_cannot_say_is_named(hub: Any, session: Session, answer: tuple[int, str, str], says: str) -> None:
    hub.programs["ldapsearch"] = answer
    with session, pytest.raises(DirectoryFailed, match=says):
        read_state(HubDirectory(session), "tinh.example")


def test_a_line_that_breaks_is_no_answer(hub: Any, session: Session) -> None:
    hub.hangs_up_on = "ldapmodify"
    with session, pytest.raises(NotReached):
        HubDirectory(session).change("dn: x\n\n")


def test_a_mail_host_without_counters_is_named(hub: Any, session: Session) -> None:
    hub.programs["tram-mail-counters"] = (1, "", "sudo: tram-mail-counters: command not found")
    with session, pytest.raises(StepFailed, match="hub1: sudo: tram-mail-counters: command not found"):
        mail_counters(session)


def test_a_letter_is_handed_in_on_standard_input(hub: Any, session: Session) -> None:
    hub.programs["/usr/sbin/sendmail"] = (0, "", "")
    with session:
        hand_in(session, "To: a@x.example\n\nbody")
    assert hub.commands[-1] == "sudo -n /usr/sbin/sendmail -oi -t"
