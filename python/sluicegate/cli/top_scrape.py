"""One look at a gateway's `/metrics`: what is asked for, and the text taken apart."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from typing import NamedTuple

#: Seconds for the whole answer, and the most of it that is read. Stops what is no gateway.
LIMIT, MAX_BYTES = 10.0, 64 << 20
#: What every gateway tells.
_MARK = "sluicegate_config_generation"

_SAMPLE = re.compile(r'(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>(?:[^"}]|"(?:[^"\\]|\\.)*")*)\})? (?P<value>\S+)')
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(.)")


class Sample(NamedTuple):
    """A line of the text format of Prometheus."""

    name: str
    labels: dict[str, str]
    value: float


class ScrapeError(Exception):
    """The gateway cannot be asked; the text says why, for people."""


def scrape(address: str) -> list[Sample]:
    """All figures of a gateway.

    Args:
        address: `address:port` of its admin listener.

    Raises:
        ScrapeError: nobody answers, or it is no gateway.
    """
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=LIMIT)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        body = answer.read(MAX_BYTES + 1)
    except (OSError, http.client.HTTPException) as error:
        raise ScrapeError(f"the gateway at {address} does not answer: {str(error) or type(error).__name__}") from None
    finally:
        connection.close()
    if answer.status != 200 or len(body) > MAX_BYTES:
        raise ScrapeError(f"{address} has no metrics at /metrics: it answers {answer.status}")
    found = list(samples(body.decode(errors="replace")))
    if all(sample.name != _MARK for sample in found):
        raise ScrapeError(f"what is at {address} is no gateway; a controller has no figures of routes")
    return found


def samples(text: str) -> Iterator[Sample]:
    """The samples of a text; lines that are none are left out."""
    for line in text.split("\n"):
        found = _SAMPLE.match(line)
        if found is None:
            continue
        try:
            value = float(found["value"])
        except ValueError:
            continue
        labels = {name: _ESCAPE.sub(_meant, value) for name, value in _LABEL.findall(found["labels"] or "")}
        yield Sample(found["name"], labels, value)


def _meant(found: re.Match[str]) -> str:
    return "\n" if found[1] == "n" else found[1]
