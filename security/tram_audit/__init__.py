"""The audit: what is in effect on a host, judged by controls that are data (security/baselines).

Shares no code with the roles and reads none of the files they write where a running thing can be asked instead.
What it keeps and prints: docs/contracts/audit.md.
"""
