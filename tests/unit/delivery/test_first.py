"""What must come first is done first, by the host and then by the centre, and what stands in the way is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tram.bundle import Content
from tram.core.errors import BadInput
from tram.delivery.first import CentreFailed, NotYet, due, prepare
from tram.ledger import Ended, Job, Ledger, Outcome

from ..bundle.bench import FAR, Bench, set_up
from ..bundle.certificate import CERTIFICATE

pytestmark = pytest.mark.slow

RUN = "20261121T190500Z-3fa9c1"
SIGN = """
- hosts: all
  gather_facts: false
  connection: local
  become: false
  tasks:
    - ansible.builtin.copy: {src: "{{ pki }}.csr", dest: "{{ pki }}.crt", mode: "0600"}
      vars: {pki: "{{ tram_secrets_dir }}/pki/{{ inventory_hostname }}"}
"""


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    found = set_up(tmp_path / "project")
    monkeypatch.setenv("TRAM_SECRETS", str(found.secrets))
    return found.write(CERTIFICATE | {"playbooks/sign.yml": SIGN})


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


def job(bench: Bench, ledger: Ledger, playbook: str = "play.yml") -> Job:
    file = bench.folder / "playbooks" / playbook
    return Job(RUN, FAR, "huong-khe", str(file), str(bench.folder / "inventories/lab"), ledger.url)


def answers(bench: Bench) -> Callable[[Job, Content], Ended]:
    """A line over which the host hands in its request."""

    def carry(asked: Job, _content: Content) -> Ended:
        assert asked.playbook.endswith("playbooks/ask.yml")
        assert asked.run != RUN
        bench.keep({f"pki/{FAR}.csr": "request"})
        return Ended(Outcome.DONE)

    return carry


def test_the_host_is_asked_then_the_centre_answers_then_the_bundle_is_whole(bench: Bench, ledger: Ledger) -> None:
    content = prepare(job(bench, ledger), bench.province, ledger, bench.build(), answers(bench))
    assert not content.first
    assert f"secrets/pki/{FAR}.crt" in content.tree.files
    [run] = ledger.runs()
    assert ledger.outcome(run.run, FAR) is Outcome.DONE


def test_what_the_host_returned_once_is_not_asked_for_again(bench: Bench, ledger: Ledger) -> None:
    bench.keep({f"pki/{FAR}.csr": "request"})
    content = prepare(job(bench, ledger), bench.province, ledger, bench.build(), None)
    assert not content.first
    assert ledger.runs() == []


def test_a_host_that_is_not_reached_for_it_is_not_reached(bench: Bench, ledger: Ledger) -> None:
    with pytest.raises(NotYet) as problem:
        prepare(
            job(bench, ledger), bench.province, ledger, bench.build(),
            lambda _job, _content: Ended(Outcome.NOT_REACHED, "no answer"),
        )  # fmt: skip
    assert problem.value.ended.outcome is Outcome.NOT_REACHED
    assert problem.value.ended.reason == "ask.yml comes first: no answer"


def test_an_asking_that_broke_is_not_under_way(bench: Bench, ledger: Ledger) -> None:
    def broken(_asked: Job, _content: Content) -> Ended:
        raise KeyError("a mistake of ours")

    with pytest.raises(KeyError):
        prepare(job(bench, ledger), bench.province, ledger, bench.build(), broken)
    [run] = ledger.runs()
    assert ledger.outcome(run.run, FAR) is Outcome.FAILED


def test_without_a_line_the_host_cannot_be_asked_and_what_to_carry_is_said(bench: Bench, ledger: Ledger) -> None:
    with pytest.raises(BadInput, match=f"{FAR}: ask.yml comes first, for what it returns") as problem:
        prepare(job(bench, ledger), bench.province, ledger, bench.build())
    assert f"tram courier pack {FAR} --playbook" in problem.value.hint


def test_what_fails_at_the_centre_is_said_with_the_command_to_look_at_it(bench: Bench, ledger: Ledger) -> None:
    failing = "- {hosts: all, gather_facts: false, connection: local, tasks: [ansible.builtin.fail: {msg: no ink}]}\n"
    bench.write({"playbooks/sign.yml": failing}).keep({f"pki/{FAR}.csr": "request"})
    with pytest.raises(CentreFailed, match="no ink") as problem:
        prepare(job(bench, ledger), bench.province, ledger, bench.build())
    assert "sign.yml --limit huong-khe-srv1" in problem.value.hint


def test_a_centre_that_does_its_part_in_vain_is_not_asked_for_ever(bench: Bench, ledger: Ledger) -> None:
    bench.write({"playbooks/sign.yml": "- {hosts: all, gather_facts: false, connection: local, tasks: []}\n"})
    bench.keep({f"pki/{FAR}.csr": "request"})
    with pytest.raises(CentreFailed, match="ran, and is still to be run for role post"):
        prepare(job(bench, ledger), bench.province, ledger, bench.build())


def test_nothing_comes_before_what_itself_comes_first(bench: Bench, ledger: Ledger) -> None:
    content = bench.build(playbook="ask.yml")
    assert content.first
    assert not due(content, job(bench, ledger, "ask.yml"))
    assert due(bench.build(), job(bench, ledger))
