"""A good register gives a whole, typed, frozen province."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from tram.register import Province, load

from .bad_register import GOOD

INVENTORIES = Path(__file__).parents[3] / "inventories"


@pytest.fixture(scope="module")
def good() -> Province:
    return load(GOOD)


def test_a_site_takes_its_link_from_its_class_and_overrides_what_it_says_itself(good: Province) -> None:
    link = next(site for site in good.sites if site.code == "vu-quang").link
    assert link is not None
    assert (link.link_class, link.down_bps, link.rtt, link.loss) == ("fibre", 30_000_000, timedelta(milliseconds=12), 0)


def test_an_override_of_zero_counts(tmp_path: Path) -> None:
    (tmp_path / "sites").mkdir()
    for path in [*GOOD.glob("*.yml"), *GOOD.glob("sites/*.yml")]:
        text = path.read_text(encoding="utf-8").replace("class: adsl", "class: adsl\n  loss: 0 %\n  rtt: 0 ms")
        (tmp_path / path.relative_to(GOOD)).write_text(text, encoding="utf-8")
    link = next(site for site in load(tmp_path).sites if site.code == "huong-khe").link
    assert link is not None
    assert (link.loss, link.rtt) == (0.0, timedelta(0))


def test_the_hub_has_the_provinces_own_domain_and_no_link(good: Province) -> None:
    assert (good.hub.code, good.hub.domain, good.hub.link, good.hub.parent) == ("trung-tam", "mau.example", None, None)
    assert good.hub_host.fqdn == "hub1.mau.example"
    assert [site.domain for site in good.sites if not site.is_hub] == ["huong-khe.mau.example", "vu-quang.mau.example"]


def test_values_have_the_types_of_the_standard_library(good: Province) -> None:
    site = next(site for site in good.sites if site.code == "huong-khe")
    assert site.network == IPv4Network("203.0.113.0/28")
    assert site.hosts[0].address == IPv4Address("203.0.113.10")
    assert site.hosts[0].suite == "bookworm"
    assert site.group == "site_huong_khe"


def test_the_mail_host_is_the_first_with_mail(good: Province) -> None:
    assert [site.mail_host.inventory_name for site in good.sites if site.mail_host] == [
        "trung-tam-hub1",
        "huong-khe-srv1",
        "vu-quang-srv1",
    ]


def test_a_province_is_frozen(good: Province) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        good.code = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        good.tiers["x"] = good.tiers["district"]  # type: ignore[index]


def test_secrets_live_outside_the_repository(good: Province, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TRAM_SECRETS", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert good.secrets_dir == tmp_path / ".config" / "tram" / "tinh-mau"
    monkeypatch.setenv("TRAM_SECRETS", str(tmp_path / "usb"))
    assert good.secrets_dir == tmp_path / "usb"


def test_names_are_compared_as_one_writes_them_whatever_the_editor(tmp_path: Path) -> None:
    """A Mac writes letters and marks apart (NFD); the register has them composed (NFC)."""
    (tmp_path / "sites").mkdir()
    for path in [*GOOD.glob("*.yml"), *GOOD.glob("sites/*.yml")]:
        text = path.read_text(encoding="utf-8").replace("Hương Khê", "Hu\u031bo\u031bng Khe\u0302")
        (tmp_path / path.relative_to(GOOD)).write_text("\ufeff" + text, encoding="utf-8")
    assert "Huyện Hương Khê" in {site.name for site in load(tmp_path).sites}


def test_the_lab_is_one_hub_one_department_one_highland_district() -> None:
    province = load(INVENTORIES / "lab")
    assert province.lab
    assert [(site.code, str(site.network)) for site in province.sites] == [
        ("trung-tam", "192.0.2.0/24"),
        ("so-noi-vu", "198.51.100.0/26"),
        ("huong-khe", "203.0.113.0/28"),
    ]


def test_ha_tinh_has_its_twenty_departments_and_twelve_districts_of_2011() -> None:
    province = load(INVENTORIES / "ha-tinh")
    tiers = [site.tier for site in province.sites]
    assert (tiers.count("department"), tiers.count("district")) == (20, 12)
    documentation = [IPv4Network(block) for block in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]
    for site in province.sites:
        assert site.network.prefixlen == 29
        assert any(site.network.subnet_of(block) for block in documentation)
        assert all(2005 <= host.year <= 2012 for host in site.hosts)
