"""How much a client may ask for: one limit, a leaky bucket for each address and pod."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...features import Feature, Limit, Limits
from ...hash_keys import key_of
from ...reading import Reading

_RATE, _KEY, _BURST = "nginx.org/limit-req-rate", "nginx.org/limit-req-key", "nginx.org/limit-req-burst"
_DRY, _CODE = "nginx.org/limit-req-dry-run", "nginx.org/limit-req-reject-code"
_WRITTEN = re.compile(r"([1-9][0-9]{0,8})r/([sm])", re.ASCII)
_SECONDS = {"s": 1, "m": 60}


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    rate = reading.value(_RATE)
    if rate is None:
        for name in (_KEY, _BURST, _DRY, _CODE):
            reading.tell(name, "dropped-harmless", "without limit-req-rate it never did anything", "take it out")
        return
    found = _WRITTEN.fullmatch(rate.text)
    if found is None:
        message = "a rate such as 10r/s or 100r/m is expected: it did nothing"
        reading.tell(_RATE, "invalid", message, "correct the value")
        return
    if reading.flag(_DRY):
        message = "a limit that is only tried: none is made"
        reading.tell(_RATE, "converted-with-difference", message, "take limit-req-dry-run out where it is to hold")
        return
    if key_of(reading.text(_KEY, "$binary_remote_addr")) != ("client",):
        message = "a limit by something else than the address of the client: none is made"
        for name in (_RATE, _KEY):
            reading.tell(name, "no-equivalent", message, "RateLimitPolicy `local.limits[].key`")
        return
    status = reading.number(_CODE, 429)
    if status not in {429, 503}:
        message = f"a refusal is 429 or 503, not {status}: it is 429"
        reading.tell(_CODE, "converted-with-difference", message, "HTTPFilter `errorPages` stands in for it")
        status = 429
    # The first request passes beside the burst.
    limit = Limit(name="rate", requests=int(found[1]), seconds=_SECONDS[found[2]], burst=reading.number(_BURST) + 1)
    yield Limits(causes=reading.causes(_RATE, _KEY, _BURST, _CODE), limits=(limit,), status=status)
