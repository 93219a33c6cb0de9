"""Rates, spans of time and shares as people write them, parsed once into typed values and written back the same way."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

from tram.core.errors import BadInput

# Networks count in thousands (ITU-T, and every provider's contract): 1 kbit/s is 1000 bit/s, never 1024.
_RATES = {"bit/s": 1, "kbit/s": 10**3, "Mbit/s": 10**6, "Gbit/s": 10**9}
_RATE_WORDS = {unit.lower(): scale for unit, scale in _RATES.items()} | {
    "bps": 1,
    "kbps": 10**3,
    "mbps": 10**6,
    "gbps": 10**9,
}
_SPANS = {"us": 1, "ms": 10**3, "s": 10**6, "min": 60 * 10**6, "h": 3600 * 10**6, "d": 86400 * 10**6}
_QUANTITY = re.compile(r"(?P<number>\d{1,12}(?:[.,]\d{1,9})?)\s*(?P<unit>[^\s\d].*)?")


class BadQuantity(BadInput, ValueError):
    """A quantity that is not a number with a unit we know."""


def parse_rate(text: str) -> int:
    """Read "4 Mbit/s" or "512 kbit/s" as whole bits a second.

    Raises: BadQuantity for no number, no unit, bytes instead of bits, or less than 1 bit/s.
    """
    number, unit = _split(text, 'write a rate such as "4 Mbit/s" or "512 kbit/s"')
    scale = _RATE_WORDS.get(unit.lower().replace(" ", ""))
    if scale is None:
        bytes_hint = "; rates are in bits, one byte is 8 bits" if re.search(r"[kMG]?i?B(/s)?$|byte", unit) else ""
        raise BadQuantity(f'"{text}" is not a rate', hint=f'write "4 Mbit/s" or "512 kbit/s"{bytes_hint}')
    bits = number * scale
    if bits < 1 or bits != int(bits):
        raise BadQuantity(f'"{text}" is not a whole number of bits a second', hint="the smallest rate is 1 bit/s")
    return int(bits)


def parse_span(text: str) -> timedelta:
    """Read "60 ms" or "5 min" as a span of time, to the microsecond.

    Raises: BadQuantity for no number or an unknown unit.
    """
    number, unit = _split(text, 'write a time such as "60 ms" or "5 min"')
    scale = _SPANS.get(unit)
    if scale is None:
        raise BadQuantity(f'"{text}" is not a span of time', hint=f"the units are {', '.join(_SPANS)}")
    micros = number * scale
    if micros != int(micros):
        raise BadQuantity(f'"{text}" is finer than a microsecond', hint='write a time such as "60 ms"')
    try:
        return timedelta(microseconds=int(micros))
    except OverflowError as error:
        raise BadQuantity(f'"{text}" is too long a time', hint='write a time such as "60 ms"') from error


def parse_share(text: str) -> float:
    """Read "0.5 %" (or "0,5 %") as a fraction from 0 to 1.

    Raises: BadQuantity for no number, no percent sign, or more than 100 %.
    """
    number, unit = _split(text, 'write a share such as "0.5 %"')
    if unit != "%":
        raise BadQuantity(f'"{text}" is not a share', hint='write it with the sign: "0.5 %"')
    if number > 100:
        raise BadQuantity(f'"{text}" is more than the whole', hint="a share is from 0 % to 100 %")
    return float(number / 100)


def format_rate(bits: int) -> str:
    """Write bits a second so that `parse_rate` reads the same number back: 512000 is "512 kbit/s"."""
    unit, scale = max(((u, s) for u, s in _RATES.items() if bits >= s), key=lambda pair: pair[1], default=("bit/s", 1))
    return f"{_plain(Decimal(bits) / scale)} {unit}"


def format_span(span: timedelta) -> str:
    """Write a span so that `parse_span` reads the same one back: 60 ms, 2.5 s; nothing above seconds is needed here."""
    micros = Decimal(span // timedelta(microseconds=1))
    if micros >= _SPANS["s"]:
        return f"{_plain(micros / _SPANS['s'])} s"
    return f"{_plain(micros / _SPANS['ms'])} ms"


def format_share(share: float) -> str:
    """Write a fraction as percent so that `parse_share` reads the same float back: 0.005 is "0.5 %"."""
    return f"{_plain(Decimal(repr(share)) * 100)} %"


def _split(text: str, hint: str) -> tuple[Decimal, str]:
    """Split "4 Mbit/s" into number and unit; a comma is a decimal point, as Vietnamese writes it."""
    found = _QUANTITY.fullmatch(text.strip())
    if found is None:
        raise BadQuantity(f'"{text}" is not a number with a unit', hint=hint)
    return Decimal(found["number"].replace(",", ".")), (found["unit"] or "").strip()


def _plain(number: Decimal) -> str:
    """A decimal without exponent or trailing zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
