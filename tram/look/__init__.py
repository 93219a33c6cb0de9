"""Looking at hosts: read-only, everything of a host in one batch over one connection, each look bounded in time.

    looked = look_at_all(province, hosts, looks)      # hosts side by side; one that fails is an error of its own
    looked[0].seen["ports"].text                      # what the command of that look printed
    looked[0].offers["ciphers"]                       # what its sshd offered us, from the handshake itself

What is looked for is the business of who asks (`tram_audit`); what travels: docs/contracts/audit.md.
"""

from tram.look.fleet import look_at_all
from tram.look.program import Look, Seen, harmless
from tram.look.ssh import Looked, Patience

__all__ = ["Look", "Looked", "Patience", "Seen", "harmless", "look_at_all"]
