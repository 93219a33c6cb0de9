"""Every question of the board is one that a real Prometheus understands and answers."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tram.register import Province
from tram_board.asking import NotAnswered, Source
from tram_board.readings import ABROAD, ask, gather
from tram_board.state import state_of, window
from tram_board.watcher import CHARTS
from tram_board.words import VERBS, Word

from .conftest import EXPORTERS_TOLD

pytestmark = pytest.mark.slow
SRV = "huong-khe-srv1"
WATCHED = [verb for verb in VERBS if verb != "documents"]


def told() -> str:
    """What a host in order tells, as its exporters write it."""
    now = time.time()
    lines = [f'tram_exporter_last_success_timestamp_seconds{{exporter="{name}"}} {now:.0f}' for name in EXPORTERS_TOLD]
    lines += [
        'tram_link_up{target="hub"} 1',
        'tram_link_loss_ratio{target="hub"} 0',
        'tram_link_rtt_seconds{target="hub",quantile="0.5"} 0.01',
        'tram_link_rtt_seconds{target="hub",quantile="0.95"} 0.02',
        'tram_link_outage_seconds_total{cause="link"} 60',
        "tram_host_risk_ratio 0.03",
        'node_filesystem_avail_bytes{mountpoint="/"} 6e+10',
        'node_filesystem_size_bytes{mountpoint="/"} 8e+10',
        "tram_mail_queue_messages 0",
        "tram_mail_queue_oldest_seconds 0",
        "tram_antivirus_engine_up 1",
        f'tram_antivirus_signatures_timestamp_seconds{{set="province"}} {now - 3600:.0f}',
        'tram_baseline_controls{result="pass"} 80',
        "tram_baseline_drift 0",
        f"tram_baseline_audited_timestamp_seconds {now - 3600:.0f}",
        f'tram_backup_last_success_timestamp_seconds{{service="mail"}} {now - 3600:.0f}',
        f"tram_backup_last_restore_proof_timestamp_seconds {now - 3600:.0f}",
        'tram_accounts{agency="huong-khe",stage="people"} 40',
    ]
    return "\n".join(lines) + "\n"


class Page(BaseHTTPRequestHandler):
    """One host's readings."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(told().encode())

    def log_message(self, *_words: object) -> None:
        pass


@pytest.fixture(scope="module")
def store(province: Province, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that reads every host but one."""
    if not shutil.which("prometheus"):
        pytest.fail("prometheus is not installed: run scripts/setup.sh dev")
    folder = tmp_path_factory.mktemp("store")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    Thread(target=server.serve_forever, daemon=True).start()
    targets = [
        {"targets": [f"127.0.0.1:{server.server_port}"], "labels": {"site": site.code, "host": host.inventory_name}}
        for site in province.sites
        for host in site.hosts
        if host.inventory_name != SRV
    ]
    settings = {"scrape_configs": [{"job_name": "node", "scrape_interval": "1s", "static_configs": targets}]}
    (folder / "prometheus.yml").write_text(json.dumps(settings))
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    argv = ["prometheus", "--config.file=prometheus.yml", f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*argv, f"--storage.tsdb.path={folder}/data"], cwd=folder, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)
        server.shutdown()
        server.server_close()


def test_what_hosts_tell_becomes_their_state(province: Province, store: str) -> None:
    source = Source(store)
    expected = {"trung-tam": Word.OK, "so-noi-vu": Word.OK, "huong-khe": Word.UNKNOWN}
    end = time.monotonic() + 120
    while True:
        state = state_of(province, gather(source, datetime.now(UTC), window()), verbs=WATCHED)
        words = {code: one.word for code, one in state.sites.items()}
        if words == expected or time.monotonic() > end:
            break
        time.sleep(0.5)
    assert state.readings.failed == {}
    assert words == expected, [one.findings for one in state.sites.values()]
    assert [one.site.code for one in state.sites.values() if one.silent] == ["huong-khe"]
    found, failed = ask(source, ABROAD, datetime.now(UTC), window())
    assert failed == {}
    assert [(s.labels["agency"], s.value) for s in found["accounts"]] == [("huong-khe", 40.0)]
    assert found["outage_before"] == []
    now = datetime.now(UTC)
    for query, _unit, _scale in CHARTS.values():
        source.over(query.replace("$s", "so-noi-vu"), now - timedelta(hours=1), now, timedelta(minutes=5))
    with pytest.raises(NotAnswered, match="parse error"):
        source.now("sum(", now)
