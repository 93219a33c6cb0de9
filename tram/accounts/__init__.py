"""Accounts as code: rosters of people in, what the directory must be told out; passwords on paper; who uses it."""
