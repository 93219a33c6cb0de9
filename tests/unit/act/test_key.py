"""The centre's key is made once and stays readable by its owner alone."""

from __future__ import annotations

import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tram.act.key import load_key, make_key


def test_a_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    secrets = tmp_path / "config" / "lab"
    assert load_key(secrets, "tram@lab") is None
    assert not secrets.exists(), "looking makes nothing"
    made = make_key(secrets, "tram@lab")
    assert make_key(secrets, "tram@lab").public == made.public
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(made.path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    derived = subprocess.run(["ssh-keygen", "-y", "-f", made.path], capture_output=True, text=True, check=True).stdout
    assert made.public == derived.strip()
    assert made.public.split()[0::2] == ["ssh-ed25519", "tram@lab"]
    assert made.path.with_suffix(".pub").read_text().strip() == made.public


def test_two_runs_at_once_end_up_with_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: make_key(tmp_path / "s", "tram@lab"), range(4)))
    assert len({key.public for key in made}) == 1
    assert made[0].path.with_suffix(".pub").read_text().strip() == made[0].public
    assert sorted(path.name for path in made[0].path.parent.iterdir()) == ["id_ed25519", "id_ed25519.pub"]
