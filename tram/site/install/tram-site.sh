#!/bin/sh
# Trạm: this host's runner. Isolated from the environment and the working directory: this runs as root.
exec /usr/bin/python3 -I /opt/tram/runtime/current/launch.py tram.site "$@"
