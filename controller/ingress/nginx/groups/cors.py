"""CORS, with the defaults of ingress-nginx.

Source: `internal/ingress/annotations/cors`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sluicegate.words import listed

from ... import values
from ...features import Cors, Feature
from ...reading import Reading

_METHODS = "GET, PUT, POST, DELETE, PATCH, OPTIONS"
_HEADERS = "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization"
_MAX_AGE = 1_728_000
_NAMES = ("allow-origin", "allow-methods", "allow-headers", "expose-headers", "allow-credentials", "max-age")
_ORIGIN = re.compile(r"\*|https?://(?:\*\.)?[A-Za-z0-9](?:[-A-Za-z0-9.]*[A-Za-z0-9])?(?::[0-9]{1,5})?")


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    if not reading.flag("enable-cors"):
        for name in _NAMES:
            reading.tell(f"cors-{name}", "dropped-harmless", "without enable-cors it never did anything", "take it out")
        return
    written = reading.words("cors-allow-origin") or ("*",)
    origins = tuple(item for item in written if _ORIGIN.fullmatch(item))
    if origins != written:
        message = f"no origins: {', '.join(sorted(set(written) - set(origins)))}"
        reading.tell("cors-allow-origin", "invalid", message, "write scheme and host, such as https://*.example.com")
    if not origins:
        return
    yield Cors(
        causes=reading.causes("enable-cors", *(f"cors-{name}" for name in _NAMES)),
        origins=("*",) if "*" in origins else origins,
        methods=_split(reading.text("cors-allow-methods", _METHODS)),
        headers=_names(reading, "cors-allow-headers", _HEADERS),
        exposed=_names(reading, "cors-expose-headers"),
        credentials=reading.flag("cors-allow-credentials", default=True),
        max_age=reading.number("cors-max-age", _MAX_AGE),
    )


def _names(reading: Reading, name: str, default: str = "") -> tuple[str, ...]:
    """Names of fields, of which a list may have blanks between them as well as commas."""
    written = _split(reading.text(name, default))
    found = tuple(item for item in written if values.is_token(item))
    if found != written:
        wrong = listed(item for item in written if item not in found)
        reading.tell(name, "invalid", f"no names of fields: {wrong}; left out", "correct the list")
    return found


def _split(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text.replace(",", " ").split()))
