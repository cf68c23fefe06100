"""Which failures go to the next endpoint.

Source: `proxy_next_upstream` of nginx. Connections that fail are tried elsewhere without a word.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...features import Feature, Retry, RetryTime
from ...reading import Reading

_TRIES = 3


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    yield from _time(reading)
    written = reading.text("proxy-next-upstream").split()
    codes = tuple(sorted({int(item[5:]) for item in written if item.startswith("http_") and item[5:].isdigit()}))
    tries = reading.number("proxy-next-upstream-tries", _TRIES)
    if tries == 0:
        message = "any number of tries: a rule says how many, 3 as by default"
        reading.tell("proxy-next-upstream-tries", "converted-with-difference", message, "write a number")
        tries = _TRIES
    repeats = "non_idempotent" in written or reading.settings.flag("retry-non-idempotent")
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
        if reading.settings.is_written("retry-non-idempotent"):
            causes += (reading.settings.value("retry-non-idempotent").cause,)
        yield Retry(causes=causes, codes=kept, attempts=tries - 1, repeats=repeats)


def _time(reading: Reading) -> Iterator[Feature]:
    """How long what fails is tried again; 0 is any time."""
    name = "proxy-next-upstream-timeout"
    seconds, cause = reading.bare_seconds(name, reading.settings.number(name)), reading.causes(name)
    if not cause and reading.settings.is_written(name):
        cause = (reading.settings.value(name).cause,)
    if seconds:
        yield RetryTime(causes=cause, seconds=seconds)
