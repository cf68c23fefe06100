"""Which failures go to the next endpoint.

Source: `proxy_next_upstream` of nginx. Connections that fail are tried elsewhere without a word.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...features import Feature, Retry
from ...reading import Reading

_TRIES = 3


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    written = reading.text("proxy-next-upstream").split()
    codes = tuple(sorted({int(item[5:]) for item in written if item.startswith("http_") and item[5:].isdigit()}))
    tries = reading.number("proxy-next-upstream-tries", _TRIES)
    if tries == 0:
        message = "any number of tries: a rule says how many, 3 as by default"
        reading.tell("proxy-next-upstream-tries", "converted-with-difference", message, "write a number")
        tries = _TRIES
    if "off" in written or tries == 1:
        message = "a connection that fails is tried elsewhere all the same; nothing else is"
        reading.tell("proxy-next-upstream", "converted-with-difference", message)
        return
    kept = tuple(code for code in codes if code >= 500)
    if kept != codes:
        message = "only answers of 500 and more are tried again"
        reading.tell("proxy-next-upstream", "converted-with-difference", message)
    if kept:
        causes = reading.causes("proxy-next-upstream", "proxy-next-upstream-tries")
        yield Retry(causes=causes, codes=kept, attempts=tries - 1)
