"""A real playbook from order to result: by stock ansible-playbook, and by our executor, with the same outcome."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tram.bundle.runtime_content import runtime_files
from tram.core.order import Order

from .host import HERE, RUNTIME, Site, script

pytestmark = pytest.mark.slow

PLAYBOOK = b"""\
- hosts: huong-khe-srv1
  gather_facts: false
  roles:
    - greeting
"""
VERIFY = b"""\
- hosts: huong-khe-srv1
  gather_facts: false
  tasks:
    - name: Verify role greeting
      ansible.builtin.include_role:
        name: greeting
        tasks_from: verify
"""
TASKS = b"""\
- name: Say hello
  ansible.builtin.copy:
    content: "Xin ch\xc3\xa0o {{ greeting_name }}\\n"
    dest: "{{ greeting_path }}"
    mode: "0644"
"""
PROOF = b"""\
- name: Somebody is greeted
  ansible.builtin.command: grep -q "{{ greeting_proof | default(greeting_name) }}" "{{ greeting_path }}"
  changed_when: false
"""


def files(site: Site, **more: str) -> dict[str, bytes]:
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "greeting_name": "H\u01b0\u01a1ng Kh\u00ea",
        "greeting_path": str(site.system / "etc/motd"),
        **more,
    }
    return {
        "playbook.yml": PLAYBOOK,
        "verify.yml": VERIFY,
        "inventory.yml": json.dumps({"all": {"hosts": {"huong-khe-srv1": variables}}}).encode(),
        "ansible.cfg": b"[defaults]\n",
        "roles/greeting/tasks/main.yml": TASKS,
        "roles/greeting/tasks/verify.yml": PROOF,
    }


@pytest.fixture(scope="session")
def runtimes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the real runtime, unpacked."""
    base = tmp_path_factory.mktemp("runtimes")
    for name, content in runtime_files().items():
        path = base / RUNTIME / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return base


@pytest.fixture
def real(site: Site, runtimes: Path) -> Site:
    """A host with the real runtime."""
    site.configure(executor=[], runtimes=str(runtimes))
    return site


def assert_greeted(site: Site, order: Order) -> None:
    result = site.result(order)
    log = (site.root / "runs" / order.run / "log").read_text()
    assert (result["outcome"], result["reason"]) == ("done", ""), log
    assert (site.system / "etc/motd").read_text() == "Xin chào Hương Khê\n"
    assert result["verify"] == [{"role": "greeting", "ok": True, "message": ""}]
    assert result["stats"]["changed"] == 1
    tasks = [(e["task"], e["status"]) for e in site.events(order) if e["kind"] == "task" and "phase" not in e]
    assert tasks == [("greeting : Say hello", "changed")]


def test_a_playbook_is_applied_and_proven_by_stock_ansible(site: Site) -> None:
    site.configure(executor=[sys.executable, str(HERE / "stock_executor.py")])
    order = site.send(files(site))
    site.drain()
    assert_greeted(site, order)


def test_a_playbook_is_applied_proven_and_found_so_the_second_time(real: Site) -> None:
    first = real.send(files(real))
    real.drain()
    assert_greeted(real, first)
    again = real.send(files(real))
    real.drain()
    assert (real.result(again)["outcome"], real.result(again)["stats"]["changed"]) == ("done", 0)


def test_a_service_that_does_not_prove_itself_is_a_failed_run(real: Site) -> None:
    order = real.send(files(real, greeting_proof="somebody else"))
    real.drain()
    result = real.result(order)
    assert result["outcome"] == "failed"
    assert result["reason"].startswith(
        "applied, but the service does not prove itself: greeting : Somebody is greeted: "
    )
    assert result["verify"][0]["ok"] is False


@pytest.mark.parametrize("python", ["python3.11", "python3.13"])
def test_the_runner_needs_nothing_but_its_runtime_and_python(site: Site, runtimes: Path, python: str) -> None:
    program = shutil.which(python)
    if program is None or subprocess.run([program, "-c", ""], capture_output=True, check=False).returncode != 0:
        pytest.skip(f"no {python} here")
    order = site.send({"playbook.yml": script()})
    argv = [
        program,
        "-I",
        "-S",
        "-W",
        "error",
        str(runtimes / RUNTIME / "launch.py"),
        "tram.site",
        "--root",
        str(site.root),
    ]
    for command in ("drain", "status"):
        ran = subprocess.run([*argv, command], capture_output=True, check=False, cwd="/", text=True)
        assert (ran.returncode, ran.stderr) == (0, "")
    assert site.result(order)["outcome"] == "done"
