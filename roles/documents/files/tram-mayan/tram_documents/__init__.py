"""Brings the release of Mayan that the role names to this host, and its database and accounts with it."""
