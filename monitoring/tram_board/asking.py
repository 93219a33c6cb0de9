"""Questions to the hub's time series: PromQL over HTTP, answered by Prometheus and VictoriaMetrics alike.

Source: Prometheus documentation, "HTTP API".
"""

from __future__ import annotations

import math
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from tram.core.errors import BadInput, TramError

PATIENCE = timedelta(seconds=8)


class NotAnswered(TramError):
    """The server of the time series did not answer, or not what was asked."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One series' value; a value that is no finite number is no sample."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Series:
    """One series over time: (seconds since 1970, value)."""

    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]


class Source:
    """Where the time series are. Any number of threads may ask at once."""

    def __init__(
        self,
        url: str,
        *,
        ca: Path | None = None,
        pair: tuple[Path, Path] | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`url` without /api/v1; `ca` vouches for it when it is https, `pair` is our certificate and its key.

        Raises: BadInput for files that are none.
        """
        self.url = url.rstrip("/")
        try:
            verify = ssl.create_default_context(cafile=ca)
            if pair:
                verify.load_cert_chain(*pair)
        except OSError as error:
            files = ", ".join(str(file) for file in (ca, *(pair or ())) if file)
            raise BadInput(f"{files}: {error.strerror or error}", hint="give PEM files that can be read") from error
        # A proxy of the operator's own is not the way to the hub.
        self._http = httpx.Client(timeout=PATIENCE.total_seconds(), verify=verify, transport=transport, trust_env=False)

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def now(self, query: str, at: datetime) -> list[Sample]:
        """The instant vector of `query` at `at`.

        Raises: NotAnswered.
        """
        found = self._ask("query", {"query": query, "time": f"{at.timestamp():.3f}"}, "vector")
        try:
            read = [Sample(one["metric"], float(one["value"][1])) for one in found]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise self._strange(error) from error
        return [sample for sample in read if math.isfinite(sample.value)]

    def over(self, query: str, start: datetime, end: datetime, step: timedelta) -> list[Series]:
        """`query` from `start` to `end`, a point each `step`; a gap is a point that is not there.

        Raises: NotAnswered.
        """
        words = {"query": query, "start": f"{start.timestamp():.0f}", "end": f"{end.timestamp():.0f}"}
        found = self._ask("query_range", words | {"step": f"{step.total_seconds():.0f}"}, "matrix")
        try:
            return [
                Series(one["metric"], [(float(t), float(v)) for t, v in one["values"] if math.isfinite(float(v))])
                for one in found
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise self._strange(error) from error

    def _ask(self, what: str, words: Mapping[str, str], kind: str) -> list[Any]:
        try:
            answer = self._http.post(f"{self.url}/api/v1/{what}", data=words)
            body = answer.json()
            if body["status"] != "success":
                raise NotAnswered(f"{self.url}: {body.get('errorType')}: {body.get('error')}")
            if body["data"]["resultType"] != kind:
                raise NotAnswered(f"{self.url}: answered a {body['data']['resultType']}, asked was a {kind}")
            result: list[Any] = body["data"]["result"]
        except httpx.HTTPError as error:
            raise NotAnswered(
                f"{self.url}: {error or type(error).__name__}",
                hint="is the hub's watch running? docs/contracts/board.md",
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._strange(error) from error
        return result

    def _strange(self, error: Exception) -> NotAnswered:
        return NotAnswered(f"{self.url}: what it answered cannot be read ({type(error).__name__})")
