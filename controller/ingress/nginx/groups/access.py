"""Clients by their addresses.

Source: `ipallowlist`, `ipdenylist`, `satisfy` of `internal/ingress/annotations`. An annotation replaces the setting.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from sluicegate.words import listed

from ... import values
from ...expressions import quoted, some_field
from ...features import Addresses, Closed, Feature, Refusals
from ...losses import Cause
from ...reading import Reading
from ...settings import Value

#: The setting that holds where an Ingress has no list of its own.
_SETTINGS = {"allowlist-source-range": "whitelist-source-range", "denylist-source-range": "denylist-source-range"}
#: Characters of an expression that others are put together with.
_MAX_PATTERN = 1500


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    causes: list[Cause] = []
    lists: list[tuple[str, ...]] = []
    for name, setting in _SETTINGS.items():
        found = reading.value(name)
        if found is None and reading.settings.is_written(setting):
            found = reading.settings.value(setting)
        networks = _networks(found)
        if found is not None and networks is None:
            own = reading.value(name) is not None
            if own:
                message = "no list of CIDR blocks: its paths answered 503, and answer 500"
                reading.tell(name, "invalid", message, "correct the list")
            # A setting that is none is told by itself: there the whole configuration was refused.
            yield Closed(causes=(found.cause,), reason="no list of CIDR blocks", there=own)
            return
        causes += [found.cause] if found is not None and networks else []
        lists.append(networks or ())
    allowed, denied = lists
    if reading.settings.is_written("block-cidrs"):
        # Of the whole controller, besides the lists of an Ingress.
        blocked = reading.settings.value("block-cidrs")
        networks = _networks(blocked)
        if networks is None:
            yield Closed(causes=(blocked.cause,), reason="no list of CIDR blocks")
            return
        denied = tuple(dict.fromkeys((*denied, *networks)))
        causes += [blocked.cause] if networks else []
    yield from _refused(reading)
    satisfy = reading.text("satisfy", "all")
    if satisfy not in {"any", "all"}:
        reading.tell("satisfy", "invalid", "any or all is expected; all holds, as before", "correct the value")
    has_credentials = reading.value("auth-type") is not None or reading.value("auth-url") is not None
    if satisfy == "any" and not has_credentials:
        reading.tell(
            "satisfy", "dropped-harmless", "without credentials there is nothing that an address could replace"
        )
    if satisfy == "any" and reading.value("auth-url") is not None:
        _tell_all_of(reading, by_address=bool(allowed))
    if allowed or denied:
        suffices = satisfy == "any" and has_credentials and bool(allowed)
        causes += reading.causes("satisfy") if suffices else ()
        yield Addresses(causes=tuple(causes), allowed=allowed, denied=denied, suffices=suffices)


def _tell_all_of(reading: Reading, *, by_address: bool) -> None:
    """Say that a service is asked in any case: neither an address nor a password stands in for what it says."""
    if reading.value("auth-type") is None:
        message = "an address spares nobody the question of the service of auth-url"
        reading.tell("satisfy", "no-equivalent", message, "have the service let these addresses in")
        return
    others = "an address or a password" if by_address else "a password"
    message = f"{others} spares nobody the question of the service of auth-url, and whoever that lets in needs the "
    message += "password too" + (", unless its address is on the list" if by_address else "")
    remedy = "keep one of auth-type and auth-url, such as by a service that knows the passwords"
    reading.tell("satisfy", "no-equivalent", message, remedy)


def _refused(reading: Reading) -> Iterator[Feature]:
    """Who is refused by what it says it is, or where it says that it comes from; of the whole controller."""
    for key, field in (("block-user-agents", "user-agent"), ("block-referers", "referer")):
        if not reading.settings.is_written(key):
            continue
        written = reading.settings.value(key)
        patterns = [_pattern(item) for item in values.words(written.text)]
        wrong = [item for item in patterns if not reading.is_expressible(item)]
        if wrong:
            message = f"RE2 cannot say {listed(wrong)}: all paths answer 500"
            reading.ledger.tell(written.cause, "no-equivalent", message, "write it otherwise")
            yield Closed(causes=(written.cause,), reason=f"{key} cannot be said")
        elif patterns:
            tests = (some_field(field, f"each.matches({quoted(item)})") for item in _together(patterns))
            yield Refusals(causes=(written.cause,), conditions=tuple(tests))


def _pattern(item: str) -> str:
    """What nginx' `map` takes: a text in any case, `~` and an expression, or `~*` and one in any case."""
    if item.startswith("~*"):
        return f"(?i){item[2:]}"
    return item[1:] if item.startswith("~") else f"(?i)^{re.escape(item)}$"


def _together(patterns: Iterable[str]) -> Iterator[str]:
    """Expressions as few that are no longer than one should be."""
    found = ""
    for item in patterns:
        if found and len(found) + len(item) > _MAX_PATTERN:
            yield found
            found = ""
        found += f"{'|' if found else ''}(?:{item})"
    if found:
        yield found


def _networks(found: Value | None) -> tuple[str, ...] | None:
    """The blocks of a list; None: one of them is none."""
    if found is None:
        return ()
    networks = [values.network(item) for item in values.words(found.text)]
    return None if None in networks else tuple(dict.fromkeys(item for item in networks if item is not None))
