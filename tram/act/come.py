"""Come to a managed host as its operator."""

from __future__ import annotations

from tram.act.connect import FirstContact, connect
from tram.act.key import CentreKey
from tram.act.outcome import LoginRefused
from tram.act.pins import Pins
from tram.act.session import Login, Session, log_in
from tram.act.target import Target


def come(target: Target, key: CentreKey) -> Session:
    """A session as the host's operator, by the centre's key; only a pinned host is come to.

    Raises: NotReached, IdentityUnknown, IdentityChanged, LoginRefused.
    """
    try:
        return log_in(target, connect(target, Pins(target.pins), FirstContact()), Login(target.operator, (key.key,)))
    except LoginRefused as error:
        raise LoginRefused(
            error.message, hint=f"make it a managed host first: tram host bootstrap {target.name}"
        ) from error
