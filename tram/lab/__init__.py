"""The province in a box: real Debian hosts with systemd, in network namespaces, behind emulated WAN links."""
