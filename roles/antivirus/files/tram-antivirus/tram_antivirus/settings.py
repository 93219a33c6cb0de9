"""What the role decided for this host: /etc/tram-antivirus/settings.json, and where things are."""

from __future__ import annotations

import json
from pathlib import Path


class Failed(Exception):
    """Something could not be done; the text says what, for people."""


class Settings:
    """The role's variables, read once. No dataclass: what watches all day imports as little as it can."""

    def __init__(self, path: Path) -> None:
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            self.host: str = raw["host"]
            self.profile: str = raw["profile"]
            self.profile_why: str = raw["profile_why"]
            self.resident: bool = raw["resident"]
            self.on_access: str = raw["on_access"]
            self.mirror_name: str = raw["mirror_name"]
            self.mirror_address: str = raw["mirror_address"]
            self.mirror_port: int = raw["mirror_port"]
            self.announced_in: str = raw["announced_in"]
            self.key_file: str = raw["key_file"]
            self.chain_file: str = raw["chain_file"]
            self.ca_file: str = raw["ca_file"]
            self.poll_seconds: int = raw["poll_seconds"]
            self.ask_minutes: int = raw["ask_minutes"]
            self.spread_seconds: int = raw["spread_seconds"]
            self.official_spread_minutes: int = raw["official_spread_minutes"]
            self.hung_seconds: int = raw["hung_seconds"]
            self.load_seconds: int = raw["load_seconds"]
            self.found: str = raw["found"]
            self.scan_paths: list[str] = raw["scan_paths"]
            self.sweep_paths: list[str] = raw["sweep_paths"]
            self.skip_paths: list[str] = raw["skip_paths"]
            self.report_only_paths: list[str] = raw["report_only_paths"]
            self.scan_hours: float = raw["scan_hours"]
            self.max_file_bytes: int = raw["max_file_bytes"]
            self.remember_files: int = raw["remember_files"]
            self.keep_findings: int = raw["keep_findings"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Failed(f"{path}: {error!r}: run the role antivirus again") from error
        # Where things are. Not the role's to choose; tests put them elsewhere.
        self.signers = Path(raw.get("signers", "/etc/tram-antivirus/signers"))
        self.freshclam_conf = Path(raw.get("freshclam_conf", "/etc/tram-antivirus/freshclam.conf"))
        self.database = Path(raw.get("database", "/var/lib/clamav"))
        self.socket = Path(raw.get("socket", "/run/clamav/clamd.ctl"))
        self.user: str = raw.get("user", "clamav")
        self.state = Path(raw.get("state", "/var/lib/tram-antivirus"))
        self.heard = Path(raw.get("heard", "/run/tram-antivirus/heard.json"))

    @property
    def release(self) -> Path:
        """What comes from the hub, and how that went: the scanner's user writes here, and nobody else."""
        return self.state / "release"

    @property
    def scans(self) -> Path:
        """What scans remember: root only."""
        return self.state / "scan"

    @property
    def quarantine(self) -> Path:
        """What was found: root only."""
        return self.state / "quarantine"
