"""A bundle has exactly what one host needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import ansible
import pytest
import yaml

from tram.bundle import Content, build_all, pack
from tram.core.canonical import digest

from .bench import FAR, Bench, set_up, text_of
from .project import FOR_FAR, FOR_NEAR, SECRETS, VAULT_PASSWORD, furnish

pytestmark = pytest.mark.slow

NEAR = "so-noi-vu-srv1"
HUB = "trung-tam-hub1"


def seal(bench: Bench, text: str) -> str:
    """Text as a vault of this project."""
    return subprocess.run(
        [Path(sys.executable).parent / "ansible-vault", "encrypt", "--output", "-"],
        input=text,
        capture_output=True,
        text=True,
        check=True,
        cwd=bench.folder,
        env={**os.environ, "ANSIBLE_CONFIG": str(bench.folder / "ansible.cfg")},
    ).stdout


def block(text: str) -> str:
    """A vault as a value in YAML."""
    return "!vault |\n" + "".join(f"    {line}\n" for line in text.splitlines())


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The project with a little of everything, its vaults sealed."""
    folder = tmp_path_factory.mktemp("bundle") / "project"
    bench = furnish(set_up(folder))
    bench.write({"vault-password": VAULT_PASSWORD})
    config = folder / "ansible.cfg"
    config.write_text(config.read_text().replace("[defaults]", "[defaults]\nvault_password_file = vault-password"))
    for site, text in (("huong_khe", FOR_FAR), ("so_noi_vu", FOR_NEAR)):
        path = folder / f"inventories/lab/group_vars/site_{site}.yml"
        path.write_text(f"{path.read_text()}sealed: {block(seal(bench, text))}")
    bench.write({"roles/post/vars/main.yml": f"post_inner: {block(seal(bench, 'inner {{ secret }}'))}post_after: 1\n"})
    bench.write({"roles/post/files/sealed.key": seal(bench, "a whole file\n")})
    return bench


@pytest.fixture(scope="module")
def far(furnished: Bench) -> Content:
    """The bundle of the far site."""
    return furnished.build()


def everything(content: Content) -> bytes:
    """Every byte that is in a bundle, and its tree."""
    return b"\n".join([content.tree.canonical(), *content.objects.values()])


def inventory(content: Content) -> Any:
    """inventory.yml without its tags."""
    text = text_of(content, "inventory.yml").replace("!unsafe ", "")
    return yaml.safe_load(text)["all"]


def test_the_files_are_those_the_host_needs_and_no_others(far: Content) -> None:
    assert [place for place in far.tree.files if not place.startswith("collections/")] == [
        "ansible.cfg",
        "files/letterhead.txt",
        "inventory.yml",
        "playbook.yml",
        "returns.json",
        "roles/big_only/tasks/main.yml",
        "roles/common/tasks/main.yml",
        "roles/common/tasks/record.yml",
        "roles/common/tasks/verify.yml",
        "roles/post/defaults/main.yml",
        "roles/post/files/run.sh",
        "roles/post/files/sealed.key",
        "roles/post/handlers/main.yml",
        "roles/post/library/post_stamp.py",
        "roles/post/meta/main.yml",
        "roles/post/tasks/big.yml",
        "roles/post/tasks/centre.yml",
        "roles/post/tasks/here.yml",
        "roles/post/tasks/main.yml",
        "roles/post/tasks/small.yml",
        "roles/post/tasks/verify.yml",
        "roles/post/templates/post.j2",
        "roles/post/vars/main.yml",
        "secrets/post/huong-khe.tinh.example/van-thu",
        "secrets/post/shared.key",
        "tasks/last.yml",
        "vars/post.yml",
        "verify.yml",
    ]
    assert far.roles == ("common", "post", "big_only")


def test_of_a_role_only_the_tasks_come_that_it_can_come_to_here(bench: Bench) -> None:
    bench.write(
        {
            "playbooks/play.yml": "- {hosts: mail, tasks: [{import_role: {name: post, tasks_from: record}}]}\n",
            "roles/post/tasks/main.yml": "- ansible.builtin.debug: {msg: main}\n",
            "roles/post/tasks/record.yml": """
                - ansible.builtin.import_tasks: deeper/one.yml
                - ansible.builtin.include_tasks: sign.yml
                  when: not tram_delivered
            """,
            "roles/post/tasks/deeper/one.yml": "- ansible.builtin.debug: {msg: one}\n",
            "roles/post/tasks/sign.yml": "- {ansible.builtin.command: {cmd: sign}, delegate_to: localhost}\n",
        }
    )
    (bench.folder / "roles/shared.yml").write_text("shared: true\n")
    (bench.folder / "roles/post/vars").mkdir()
    (bench.folder / "roles/post/vars/main.yml").symlink_to("../../shared.yml")
    content = bench.build()
    assert [place for place in content.tree.files if place.startswith("roles/")] == [
        "roles/post/tasks/deeper/one.yml",
        "roles/post/tasks/record.yml",
        "roles/post/vars/main.yml",
    ]
    assert text_of(content, "roles/post/vars/main.yml") == "shared: true\n", "a link within the project is a file there"


def test_modules_come_with_all_they_import_and_what_never_runs_here_comes_alone(far: Content) -> None:
    collected = {place.removeprefix("collections/ansible_collections/") for place in far.tree.files}
    assert {
        "community/general/plugins/modules/locale_gen.py",
        "community/general/plugins/module_utils/locale_gen.py",
        "community/general/plugins/module_utils/mh/deco.py",
        "community/general/plugins/filter/json_query.py",
        "ansible/posix/plugins/modules/synchronize.py",
        "ansible/posix/plugins/action/synchronize.py",
    } < collected
    crypto = {place for place in collected if place.startswith("community/crypto/")}
    assert crypto == {"community/crypto/plugins/modules/openssl_privatekey.py"}, "parsed, but never run on this host"


def test_an_ansible_core_with_no_collection_installed_reads_all_of_it(
    furnished: Bench, far: Content, tmp_path: Path
) -> None:
    tree = furnished.unpack(far, tmp_path / "tree")
    listed = [core_only(tmp_path, tree, playbook, "--list-tasks") for playbook in ("playbook.yml", "verify.yml")]
    assert [ran.returncode for ran in listed] == [0, 0], [ran.stdout + ran.stderr for ran in listed]
    assert "post : With a module of the role and one of a collection" in listed[0].stdout


def core_only(tmp_path: Path, tree: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """ansible-playbook where nothing is installed but ansible-core and what it needs."""
    bare = tmp_path / "bare"
    if not bare.exists():
        bare.mkdir()
        for path in Path(ansible.__file__).parents[1].iterdir():
            if path.name != "ansible_collections":
                (bare / path.name).symlink_to(path)
    program = "import sys; sys.path.insert(0, sys.argv.pop(1)); from ansible.cli.playbook import main; main()"
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, str(bare), *words],
        cwd=tree,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


def test_plays_are_those_of_the_host_with_what_their_import_said(far: Content) -> None:
    [play] = yaml.safe_load(text_of(far, "playbook.yml"))
    assert play["hosts"] == FAR
    assert play["vars"] == {"greeting": "xin chào"}
    assert play["roles"] == [{"role": "post", "post_colour": "#c00", "when": ["tram_ram_mb > 1000"]}]
    assert [task["when"] for task in play["tasks"]] == [["tram_ram_mb > 1000"], ["tram_ram_mb > 1000"]]


def test_each_role_applied_proves_itself_with_the_variables_it_was_applied_with(far: Content) -> None:
    [play] = yaml.safe_load(text_of(far, "verify.yml"))
    assert (play["hosts"], play["become"], play["vars_files"]) == (FAR, True, ["vars/post.yml"])
    common, post = play["tasks"]
    assert common["ansible.builtin.include_role"] == {"name": "common", "tasks_from": "verify"}
    assert post["ansible.builtin.include_role"] == {"name": "post", "tasks_from": "verify"}
    assert (post["vars"], post["when"]) == ({"post_colour": "#c00"}, ["tram_ram_mb > 1000"])


@pytest.mark.parametrize(("named", "used"), [("verify: here", ["here"]), ("verify: null", []), ("", ["verify"])])
def test_a_role_whose_verification_needs_other_hosts_names_another_or_none(
    bench: Bench, named: str, used: list[str]
) -> None:
    bench.write(
        {
            "playbooks/play.yml": "- {hosts: mail, roles: [post]}\n",
            "roles/post/tasks/main.yml": "[]\n",
            "roles/post/tasks/verify.yml": "- ansible.builtin.debug: {msg: '{{ needs_the_centre }}'}\n",
            "roles/post/tasks/here.yml": "- ansible.builtin.debug: {msg: here}\n",
            "roles/post/meta/tram.yml": f"{named}\n",
        }
    )
    [play] = yaml.safe_load(text_of(bench.build(), "verify.yml"))
    assert [task["ansible.builtin.include_role"]["tasks_from"] for task in play["tasks"]] == used


def test_variables_are_those_that_matter_and_only_the_centre_can_say(far: Content) -> None:
    mine = inventory(far)["hosts"][FAR]
    assert mine["ansible_connection"] == "local"
    assert mine["tram_delivered"] is True
    assert mine["tram_secrets_dir"] == "{{ playbook_dir }}/secrets"
    assert mine["mail_accounts"] == [{"user": "van-thu", "name": "Văn thư {{ tram_site_name }}"}]
    assert mine["tram_site_name"] == "Huyện Hương Khê", "named by the template of another variable"
    assert mine["post_misspelt"] is True, "a role must see a misspelt variable, to refuse it"
    assert "unused_token" not in mine
    assert not [name for name in mine if name.startswith(("ansible_ssh", "ansible_user"))]


def test_text_that_looks_like_a_template_and_is_none_stays_text(far: Content) -> None:
    text = text_of(far, "inventory.yml")
    assert 'api_token: !unsafe "far-token {{ stays as it is }}"' in text
    assert 'literal: !unsafe "{{ not a template }}"' in text
    assert 'post_inner: !unsafe "inner {{ secret }}"\npost_after: 1\n' in text_of(far, "roles/post/vars/main.yml")


def test_of_other_hosts_only_what_the_register_says_and_the_roles_ask_for(far: Content) -> None:
    hosts = inventory(far)["hosts"]
    assert hosts.keys() == {FAR, NEAR, HUB}
    assert hosts[NEAR] == {
        "ansible_host": "198.51.100.10",
        "tram_fqdn": "srv1.so-noi-vu.tinh.example",
        "tram_ram_mb": 4096,
        "tram_site_name": "Sở Nội vụ",
    }
    assert inventory(far)["children"]["mail"]["hosts"].keys() == {FAR, NEAR, HUB}


def test_no_secret_of_another_host_is_anywhere_in_a_bundle(furnished: Bench, far: Content) -> None:
    known = {
        FAR: ["far-password", "shared-key", "far-token", FOR_FAR],
        NEAR: ["near-password", "near-token", FOR_NEAR],
        HUB: ["hub-password", "hub-token", "hub-key", "hub-token-of-the-hub-alone"],
    }
    never = ["token-of-nobody-here", SECRETS["centre/id_ed25519"], SECRETS["ssh/id_ed25519"], VAULT_PASSWORD.strip()]
    hub_free = furnished.build(HUB)
    for host, content in ((FAR, far), (HUB, hub_free)):
        found = everything(content)
        mine = set(known[host]) | ({"hub-token", "shared-key"} if host == HUB else set())
        for words in {word for group in known.values() for word in group} | set(never):
            if words not in mine:
                assert words.encode() not in found, f"{words} is in the bundle of {host}"
                assert digest(words.encode()) not in found.decode(errors="replace"), f"the digest of {words}"
    for words in known[FAR]:
        assert words.encode() in everything(far), f"{words} is this host's own"


def test_secrets_and_what_was_sealed_are_their_owners_alone(far: Content) -> None:
    modes = {place: entry.mode for place, entry in far.tree.files.items()}
    closed = {place for place, mode in modes.items() if mode == 0o600}
    assert closed == {
        "inventory.yml",
        "roles/post/files/sealed.key",
        "roles/post/vars/main.yml",
        "secrets/post/huong-khe.tinh.example/van-thu",
        "secrets/post/shared.key",
    }
    assert modes["roles/post/files/run.sh"] == 0o755
    assert text_of(far, "roles/post/files/sealed.key") == "a whole file\n"


def test_roles_travel_as_they_are(furnished: Bench, far: Content) -> None:
    for place in far.tree.files:
        if place.startswith("roles/") and "sealed" not in place and place != "roles/post/vars/main.yml":
            assert far.objects[far.tree.files[place].digest] == (furnished.folder / place).read_bytes()


def test_what_comes_back_is_named_and_what_is_not_there_yet_too(furnished: Bench, far: Content) -> None:
    assert text_of(far, "returns.json") == f'{{"format":1,"patterns":["post/csr/{FAR}.csr"]}}'
    assert (far.returns, far.missing) == ((f"post/csr/{FAR}.csr",), ())
    moved = furnished.secrets / "post/huong-khe.tinh.example"
    away = moved.rename(furnished.secrets / "elsewhere")
    try:
        assert furnished.build().missing == ("post/huong-khe.tinh.example/*",)
    finally:
        away.rename(moved)


def test_the_same_project_elsewhere_under_another_umask_and_locale_is_the_same_bundle(
    furnished: Bench, far: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    umask = os.umask(0o077)
    try:
        other = Bench(tmp_path / "nơi khác/project", tmp_path / "other-secrets")
        shutil.copytree(furnished.folder, other.folder, copy_function=shutil.copyfile)
        shutil.copytree(furnished.secrets, other.secrets, copy_function=shutil.copyfile)
        (other.folder / "roles/post/files/run.sh").chmod(0o700)
        for path in other.folder.rglob("*"):
            os.utime(path, (10**9, 10**9))
        monkeypatch.setenv("LC_ALL", "C")
        monkeypatch.setenv("TZ", "Asia/Ho_Chi_Minh")
        monkeypatch.setenv("PYTHONHASHSEED", "7")
        monkeypatch.chdir(tmp_path)
        again = other.build()
    finally:
        os.umask(umask)
    assert again.tree.files == far.tree.files
    assert again.tree.digest == far.tree.digest
    assert pack(again, []) == pack(far, [])


def test_many_hosts_at_once_get_what_each_would_get_alone(furnished: Bench, far: Content) -> None:
    playbook = furnished.folder / "playbooks/play.yml"
    hosts = [furnished.host(FAR), furnished.host(HUB)]
    both = build_all(playbook, furnished.province, hosts, secrets=furnished.secrets)
    assert both[FAR] == far
    assert "hub_only" in both[HUB].roles


def test_a_site_unchanged_is_the_same_tree_and_one_changed_value_is_one_object_more(bench: Bench) -> None:
    furnish(bench).write({"inventories/lab/group_vars/site_huong_khe.yml": "sealed: one\nmail_accounts: []\n"})
    first = bench.build()
    assert bench.build().tree.digest == first.tree.digest
    bench.write({"inventories/lab/group_vars/site_huong_khe.yml": "sealed: two\nmail_accounts: []\n"})
    second = bench.build()
    assert second.objects.keys() - first.objects.keys() == {second.tree.files["inventory.yml"].digest}


def test_a_password_is_made_at_the_centre_once_and_the_host_only_reads_it(bench: Bench) -> None:
    bench.write(
        {
            "playbooks/play.yml": "- {hosts: mail, roles: [post]}\n- {hosts: hub, roles: [hub_only]}\n",
            "roles/post/defaults/main.yml": 'post_key_file: "{{ tram_secrets_dir }}/post/{{ tram_site }}"\n',
            "roles/post/tasks/main.yml": """
                - ansible.builtin.debug:
                    msg: "{{ lookup('ansible.builtin.password', post_key_file, length=12) }}"
            """,
            "roles/post/meta/tram.yml": """
                make: ["{{ lookup('ansible.builtin.password', post_key_file, length=12) }}"]
                secrets: ["post/{{ tram_site }}"]
            """,
            "roles/hub_only/tasks/main.yml": "[]\n",
            "roles/hub_only/meta/tram.yml": """
                make: ["{{ lookup('ansible.builtin.password', tram_secrets_dir ~ '/hub/' ~ tram_site) }}"]
            """,
        }
    )
    content = bench.build()
    made = (bench.secrets / "post/huong-khe").read_text()
    assert text_of(content, "secrets/post/huong-khe") == made
    assert len(made.strip()) == 12
    assert (bench.secrets / "post/huong-khe").stat().st_mode & 0o777 == 0o600
    assert bench.build().tree.digest == content.tree.digest
    assert sorted(path.name for path in bench.secrets.rglob("*")) == ["huong-khe", "post"], "no other host's, no hub's"


def test_a_play_says_that_a_run_that_fails_is_undone(bench: Bench) -> None:
    bench.write({"roles/post/tasks/main.yml": "[]\n"})
    for said, told in {
        "vars: {tram_on_failure: restore}, ": True,
        "vars: {tram_on_failure: keep}, ": False,
        "": False,
    }.items():
        bench.write({"playbooks/play.yml": f"- {{hosts: mail, {said}roles: [post]}}\n"})
        content = bench.build()
        assert ("tram.json" in content.tree.files) is told
        assert not told or text_of(content, "tram.json") == '{"on_failure":"restore"}'


def test_hosts_and_keys_stand_in_the_order_they_have_at_the_centre(bench: Bench) -> None:
    bench.write(
        {
            "playbooks/play.yml": "- {hosts: mail, roles: [post]}\n",
            "inventories/lab/group_vars/all.yml": "post_doors: {west: 1, east: 2, north: {b: 1, a: 2}}\n",
            "roles/post/tasks/main.yml": """
                - ansible.builtin.debug: {msg: "{{ groups['mail'] }} {{ hostvars | length }} {{ post_doors }}"}
            """,
        }
    )
    text = text_of(bench.build(), "inventory.yml")
    document = yaml.safe_load(text)["all"]
    order = ["trung-tam-hub1", "so-noi-vu-srv1", "huong-khe-srv1"]
    assert list(document["hosts"]) == order
    assert list(document["children"]["mail"]["hosts"]) == order
    doors = document["vars"].get("post_doors") or document["hosts"][FAR]["post_doors"]
    assert (list(doors), list(doors["north"])) == (["west", "east", "north"], ["b", "a"])
