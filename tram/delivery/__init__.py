"""Carrying orders out and reports back over links that fail: ssh, or a stick."""
