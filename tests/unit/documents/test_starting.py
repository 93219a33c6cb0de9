"""What nginx says while Mayan starts: a page to people, JSON to programs, and to both when to come again."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jinja2

SITES = Path(__file__).parents[3] / "roles/documents/templates/etc/nginx/sites-available"


def written() -> str:
    """As the role writes it."""
    loader = jinja2.FileSystemLoader(SITES)
    environment = jinja2.Environment(loader=loader, trim_blocks=True, autoescape=False)
    environment.filters["comment"] = "# {}".format
    return environment.get_template("documents.j2").render(
        ansible_managed="x",
        ansible_host="192.0.2.1",
        documents_fqdn="documents.x.tinh.example",
        documents_tls_chain_file="/etc/ssl/tram/host-chain.crt",
        documents_tls_key_file="/etc/ssl/tram/host.key",
        documents_upload_limit_bytes=1_000_000,
        documents_scan_seconds=60,
    )


def page(address: str, accepts: str) -> str:
    """Which of the pages nginx takes: the first expression that fits, else the default."""
    found = re.search(r'map "\$request_uri \$http_accept" \$documents_starting {(.*?)\n}', written(), re.DOTALL)
    assert found
    said = dict(line.strip(" ;").rsplit(" ", 1) for line in found[1].strip().splitlines())
    for name, value in said.items():
        if name.startswith('"~') and re.search(name.strip('"~'), f"{address} {accepts}"):
            return value
    return said["default"]


def test_programs_and_the_uploader_get_json_and_people_a_page() -> None:
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    assert page("/", browser) == page("/search?q=api/", browser) == page("/?q=application/json", browser) == "@starting"
    assert page("/api/v4/documents/", browser) == page("/api/v4/", "") == "@starting_json"
    assert page("/sources/1/upload/", "application/json") == "@starting_json"
    assert "error_page 502 504 = $documents_starting;" in written()


def test_what_programs_get_is_json_that_says_the_same() -> None:
    text = re.search(r'location @starting {[^}]*return 503 "(.*)\\n";', written())
    body = re.search(r"location @starting_json {\s*default_type application/json;\s*return 503 '(.*)\\n';", written())
    assert text
    assert body
    assert json.loads(body[1]) == {"detail": text[1], "error": text[1]}


def test_who_is_turned_away_hears_when_to_come_again() -> None:
    assert '"503 " 60;' in written()
    server = written()[written().index("listen 192.0.2.1:443") :]
    # nginx lets a place that adds a header of its own forget those of the server.
    assert server.count("add_header Retry-After $documents_again always;") == 1
    assert not re.search(r"location [^}]*add_header", server)
