"""The exporter `units`: services of this host that have failed, by systemd's own word."""

from __future__ import annotations

import re

from tram_exporters.machine import Machine
from tram_exporters.textfile import Page, Unreadable

OURS = re.compile(
    r"(tram-|mayan-|slapd|postfix|dovecot|rspamd|redis|clamav|named|nginx|postgresql|php|prometheus|victoria-metrics"
    r"|nftables|fail2ban|auditd|ssh|chrony|apt-|unattended-upgrades|cron|sysctl).*\.(service|timer|socket|path)"
)
"""What our roles set up, and what they rely on. What else fails (a mount of a container's) is nobody's task."""
MOST = 20
"""Units that are named; each is a series on the line."""


def collect(machine: Machine | None = None) -> Page:
    """One run."""
    machine = machine or Machine()
    page = Page("units")
    with page.reading("failed"):
        # One that dies at each start is never "failed", but between two starts.
        words = ["systemctl", "list-units", "--state=failed,auto-restart", "--plain", "--no-legend", "--no-pager"]
        said = machine.run(words, 30)
        if said.code:
            raise Unreadable(f"systemctl: {said.stderr.strip()[-80:]}")
        names = [line.split()[0] for line in said.stdout.splitlines() if line.strip()]
        ours = [name for name in names if OURS.fullmatch(name)]
        page.gauge("tram_units_failed", "How many units that this project relies on have failed.", len(ours))
        for name in sorted(ours)[:MOST]:
            page.gauge("tram_unit_failed", "1: this unit has failed, or dies at each start.", 1, unit=name)
    return page
