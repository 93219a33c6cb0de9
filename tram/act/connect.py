"""The first metre of the way: reach a host and make sure it is the one, before anything is sent to it."""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import paramiko

from tram.act.outcome import IdentityChanged, IdentityUnknown, LoginRefused, NotReached
from tram.act.pins import Pins
from tram.act.target import Target
from tram.core.proxy import ProxyLine

ANSWER = timedelta(seconds=15)
"""How long a host may take to accept a connection and to say hello: ten round trips of the worst line we know."""

# In the order of OpenSSH's own preference, so that both pin the same key of a host. Source: ssh_config(5).
KEY_TYPES = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
}

# Its own log says on standard error, with a traceback, what we raise in a sentence.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class FirstContact:
    """What vouches for a host never seen before: its `fingerprint` (SHA256:…), or `accept_new` for any it shows."""

    fingerprint: str = ""
    accept_new: bool = False


def connect(target: Target, pins: Pins, first: FirstContact) -> paramiko.Transport:
    """An encrypted connection to the target, its identity checked, nobody logged in yet.

    Raises: NotReached; IdentityUnknown, IdentityChanged when the host shows a key that nothing vouches for.
    """
    pinned = [key.get_name() for key in pins.of(target)]
    transport = _greet(target, pinned or list(KEY_TYPES))
    if transport is None:  # it has no key of the pinned type any more: see what it has instead
        transport = _greet(target, list(KEY_TYPES))
    if transport is None:
        raise IdentityUnknown(
            f"{target.name} ({target.address}) has no host key of a kind we know",
            hint="make an ed25519 one at its console: ssh-keygen -A && systemctl restart ssh",
        )
    try:
        if first.fingerprint and not pinned:
            transport = _find(target, transport, first.fingerprint)
        shown = transport.get_remote_server_key()
        if not pins.check(target, shown):
            _vouch(target, shown, first)
        elif first.fingerprint and shown.fingerprint != first.fingerprint:
            raise _differs(target, shown, first.fingerprint)
    except BaseException:
        transport.close()
        raise
    return transport


def _vouch(target: Target, shown: paramiko.PKey, first: FirstContact) -> None:
    if first.fingerprint:
        if shown.fingerprint != first.fingerprint:
            raise _differs(target, shown, first.fingerprint)
    elif not first.accept_new:
        raise IdentityUnknown(
            f"{target.name} ({target.address}) was never seen before; "
            f"it shows {shown.fingerprint} ({shown.get_name()})",
            hint="compare it at the host's console (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), then run this "
            f"again with --fingerprint {shown.fingerprint}; --accept-new takes it unseen",
        )


def _differs(target: Target, shown: paramiko.PKey, given: str) -> IdentityChanged:
    return IdentityChanged(
        f"{target.name} ({target.address}) is not the host you mean: given {given}, it shows {shown.fingerprint}",
        hint="nothing was sent to it. Read the fingerprint again at the host's console, check the address in the "
        "register; if both are right, somebody stands in between",
    )


def _find(target: Target, transport: paramiko.Transport, fingerprint: str) -> paramiko.Transport:
    """The connection on which the host shows the key with this fingerprint; the given one when it has no such key.

    A host has a key of each type; the operator may have read out any of them.
    """
    first = transport.get_remote_server_key()
    if first.fingerprint == fingerprint:
        return transport
    for kind in KEY_TYPES:
        other = None if kind == first.get_name() else _greet(target, [kind])
        if other is not None and other.get_remote_server_key().fingerprint == fingerprint:
            transport.close()
            return other
        if other is not None:
            other.close()
    return transport


def _greet(target: Target, kinds: Sequence[str], again: bool = True) -> paramiko.Transport | None:
    """A connection on which the host has shown a key of one of these kinds; None when it has none of them.

    A handshake that breaks after the host has said what it is, is tried a second time: now and then paramiko misreads a
    packet at the change to the new keys (paramiko issue 2354).
    """
    transport = paramiko.Transport(_dial(target))
    transport.banner_timeout = ANSWER.total_seconds()
    transport.get_security_options().key_types = [
        name for kind in KEY_TYPES if kind in kinds for name in KEY_TYPES[kind]
    ]
    try:
        transport.start_client(timeout=ANSWER.total_seconds())
        transport.get_remote_server_key()  # start_client returns at its timeout as if all were well
    except paramiko.ssh_exception.IncompatiblePeer as error:
        if "host key" in str(error):
            return None
        raise LoginRefused(
            f"{target.name}: its ssh and ours have no method in common: {error}",
            hint="allow curve25519-sha256 and an AES-GCM cipher in its sshd_config",
        ) from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        transport.close()
        if again and transport.remote_version and not isinstance(error, OSError):
            return _greet(target, kinds, again=False)
        raise _silent(target, "nothing that speaks ssh answers there") from error
    return transport


def _dial(target: Target) -> socket.socket:
    if target.proxy:
        return ProxyLine(target.proxy)
    try:
        return socket.create_connection((target.address, target.port), timeout=ANSWER.total_seconds())
    except OSError as error:
        raise _silent(target, error.strerror or str(error)) from error


def _silent(target: Target, why: str) -> NotReached:
    return NotReached(
        f"{target.name}: no answer at {target.address} port {target.port}: {why}",
        hint="check power, cable and line, then run this again: hosts that are done stay as they are",
    )
