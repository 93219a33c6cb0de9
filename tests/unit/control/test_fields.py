"""One field of an account is ours; what its owner changes beside it stays."""

from __future__ import annotations

from pathlib import Path

from .many_things import Run

SHADOW = "root:*:20000:0:99999:7:::\nvan-thu:$y$old:20000:0:99999:7:::\n"


def test_a_field_is_set_and_put_back_while_the_password_beside_it_changed(run: Run, tmp_path: Path) -> None:
    shadow = tmp_path / "shadow"
    shadow.write_text(SHADOW)
    shadow.chmod(0o640)
    fields = [{"path": str(shadow), "entry": "van-thu", "field": 4, "value": "365"}]
    fields.append({"path": str(shadow), "entry": "nobody-there", "field": 4, "value": "365"})
    assert run({"id": "password-age", "fields": fields}, check_mode=True)["changed"]
    assert shadow.read_text() == SHADOW
    assert run({"id": "password-age", "fields": fields})["applied"] == ["password-age"]
    assert "van-thu:$y$old:20000:0:365:7:::" in shadow.read_text()
    assert shadow.stat().st_mode & 0o777 == 0o640
    assert not run({"id": "password-age", "fields": fields})["changed"]
    shadow.write_text(shadow.read_text().replace("$y$old", "$y$new"))
    assert run({"id": "password-age", "fields": fields}, off=["password-age"])["undone"] == ["password-age"]
    assert shadow.read_text() == SHADOW.replace("$y$old", "$y$new")


def test_a_value_that_would_make_more_fields_is_refused(run: Run, tmp_path: Path) -> None:
    wrong = {"path": str(tmp_path / "passwd"), "entry": "ana", "field": 6, "value": "/bin/sh:x"}
    assert "cannot be a field" in run({"id": "one", "fields": [wrong]})["msg"]
