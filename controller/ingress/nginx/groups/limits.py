"""How much a client may ask for.

Source: `internal/ingress/annotations/ratelimit`: a leaky bucket for each address and replica, bursts without delay.
"""

from __future__ import annotations

from collections.abc import Iterator

from ... import values
from ...features import Feature, Limit, Limits
from ...reading import Reading

_BURST_MULTIPLIER = 5
#: Settings of the controller: the status of refusals by rate, and by requests at once.
_RATES, _CONNECTIONS = "limit-req-status-code", "limit-conn-status-code"
#: Statuses that a RateLimitPolicy refuses by.
_ALLOWED = frozenset({429, 503})
_NAMES = ("limit-rps", "limit-rpm", "limit-connections", "limit-burst-multiplier", "limit-allowlist")


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    multiplier = reading.number("limit-burst-multiplier", _BURST_MULTIPLIER) or _BURST_MULTIPLIER
    limits = []
    for name, label, seconds in (("limit-rps", "per-second", 1), ("limit-rpm", "per-minute", 60)):
        count = reading.number(name)
        if count:
            # The first request passes beside the burst.
            burst = count * multiplier + 1
            limits.append(
                Limit(name=label, requests=count, seconds=seconds, burst=burst, cause=reading.causes(name)[0])
            )
    connections = reading.number("limit-connections")
    if connections:
        limits.append(Limit(name="at-once", concurrent=connections, cause=reading.causes("limit-connections")[0]))
    if not limits:
        for name in ("limit-burst-multiplier", "limit-allowlist"):
            reading.tell(name, "dropped-harmless", "without a limit it never did anything", "take it out")
        return
    written = reading.words("limit-allowlist")
    networks = [values.network(item) for item in written]
    if None in networks:
        wrong = ", ".join(item for item, network in zip(written, networks, strict=True) if network is None)
        reading.tell("limit-allowlist", "invalid", f"no CIDR blocks: {wrong}; these clients are limited", "correct it")
    yield Limits(
        causes=reading.causes(*_NAMES),
        limits=tuple(limits),
        exempt=tuple(dict.fromkeys(item for item in networks if item is not None)),
        status=_status(reading, limits),
    )


def _status(reading: Reading, limits: list[Limit]) -> int:
    """What refusals are: one status for all limits of a policy, that of rates where there are both."""
    setting = _RATES if any(item.requests for item in limits) else _CONNECTIONS
    status = reading.settings.number(setting)
    other = reading.settings.number(_CONNECTIONS)
    if setting == _RATES and any(item.concurrent for item in limits) and other != status:
        message = f"a refusal is {status}, as `{_RATES}` has it, and not {other}"
        reading.tell("limit-connections", "converted-with-difference", message, f"set `{_CONNECTIONS}` alike")
    if status in _ALLOWED:
        return status
    message = f"a refusal is 429 or 503, not {status}: it is 503"
    remedy = "HTTPFilter `errorPages` stands in for it"
    reading.tell_of(reading.settings.value(setting), "converted-with-difference", message, remedy)
    return 503
