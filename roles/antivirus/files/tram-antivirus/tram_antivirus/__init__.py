"""Antivirus of one host: signatures from the hub, scans, quarantine, status. Standard library only."""
