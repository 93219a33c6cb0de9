"""What one host is to be given: exact, reproducible, signed.

`build(playbook, province, host, secrets=…)` gives a `Content` (tree and objects), `build_all` that of many hosts;
`pack(content, have)` what a site lacks of it, `sign(order, key)` the centre's word for it.
"""

from tram.bundle.assembly import BundleInvalid
from tram.bundle.building import build, build_all
from tram.bundle.content import Content, File, First
from tram.bundle.packing import pack
from tram.bundle.signing import allowed_signers, centre_key, identity, sign

__all__ = [
    "BundleInvalid",
    "Content",
    "File",
    "First",
    "allowed_signers",
    "build",
    "build_all",
    "centre_key",
    "identity",
    "pack",
    "sign",
]
