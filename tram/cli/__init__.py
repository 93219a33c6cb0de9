"""The one command operators use. Only this room prints and picks the exit code."""
