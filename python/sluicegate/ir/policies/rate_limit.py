"""RateLimitPolicy: how much clients may ask for."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Set
from typing import ClassVar, TypeAlias

from ..base import Base, Port, Positive32, Positive64
from .base import CLAIMS, PROOFS, StanzaBase

__all__ = [
    "CelLimitKey",
    "ClaimLimitKey",
    "ClientLimitKey",
    "HeaderLimitKey",
    "HostLimitKey",
    "RateLimit",
    "RateLimitKey",
    "RateLimitScope",
    "RateLimits",
    "UserLimitKey",
]


class ClientLimitKey(Base, frozen=True, kw_only=True, tag_field="type", tag="client"):
    """The client's address, of IPv6 the /64."""


class HostLimitKey(Base, frozen=True, kw_only=True, tag_field="type", tag="host"):
    """The host of the request."""


class HeaderLimitKey(Base, frozen=True, kw_only=True, tag_field="type", tag="header"):
    """All values of a field together; `name` in lower case."""

    name: str


class UserLimitKey(Base, frozen=True, kw_only=True, tag_field="type", tag="user"):
    """Who authenticated."""


class ClaimLimitKey(Base, frozen=True, kw_only=True, tag_field="type", tag="claim"):
    """A claim of who authenticated."""

    name: str


class CelLimitKey(Base, frozen=True, kw_only=True, tag_field="type", tag="cel"):
    """What an expression comes to."""

    expression: str


RateLimitKey: TypeAlias = ClientLimitKey | HostLimitKey | HeaderLimitKey | UserLimitKey | ClaimLimitKey | CelLimitKey


class RateLimitScope(enum.Enum):
    """What shares the budgets of a limit: all that the policy holds for, or each route or rule by itself."""

    TARGET = "Target"
    ROUTE = "Route"
    RULE = "Rule"


class RateLimit(Base, frozen=True, kw_only=True):
    """One of `RateLimitPolicy.spec.local.limits`; of what is not HTTP each connection and flow counts as a request.

    Attributes:
        name: for people and for clients.
        key: what has a budget of its own. Empty: all requests share one.
        requests, per_milliseconds: how fast a budget comes back.
        burst: requests that may come at once.
        concurrent: so many `requests` may be under way at once, and nothing is said of how fast they come: what is for
            that means nothing.
        when: an expression: requests for which it is false are not counted.
        cost: what one request takes: a number, or an expression that comes to one. None: 1.
        scope: what shares the budgets.
        each_pod: each pod gives all of the budget; else they share it.
        shadow: counted and told to the operator, never refused.
    """

    name: str
    key: tuple[RateLimitKey, ...] = ()
    requests: Positive32
    per_milliseconds: Positive64
    burst: Positive32
    concurrent: bool = False
    when: str | None = None
    cost: str | None = None
    scope: RateLimitScope = RateLimitScope.TARGET
    each_pod: bool = False
    shadow: bool = False


class RateLimits(StanzaBase, frozen=True, kw_only=True, tag="rate_limits"):
    """`RateLimitPolicy.spec.local`.

    Attributes:
        limits: all of them hold.
        exempt: networks whose clients are not limited.
        max_keys: keys that each limit tells apart; further ones share a budget.
        told: responses say what is left.
        status: of the answer to what is refused.
    """

    kind: ClassVar[str] = "RateLimitPolicy"
    stanza: ClassVar[str] = "local"
    acts_on: ClassVar[frozenset[str]] = frozenset({"listener", "http_rule", "l4_rule"})

    limits: tuple[RateLimit, ...] = ()
    exempt: tuple[str, ...] = ()
    max_keys: Positive32 = 65_536
    told: bool = False
    status: Port = 429

    def of_requests(self) -> Iterable[tuple[str, str]]:
        """Limits that go by more than addresses and server names."""
        for place, limit in enumerate(self.limits):
            if more := ", ".join(_of_requests(limit)):
                yield f"limits[{place}]", more

    def of_hosts(self) -> Iterable[tuple[str, str]]:
        """Limits for each host."""
        for place, limit in enumerate(self.limits):
            if any(isinstance(key, HostLimitKey) for key in limit.key) and not any(_of_requests(limit)):
                yield f"limits[{place}]", "all hosts share one budget"

    def of_identities(self) -> Iterable[tuple[str, Set[str], str]]:
        """Limits by who asks, or by what a token says."""
        for place, limit in enumerate(self.limits):
            if any(isinstance(key, (UserLimitKey, ClaimLimitKey)) for key in limit.key):
                proofs = CLAIMS if any(isinstance(key, ClaimLimitKey) for key in limit.key) else PROOFS
                yield f"limits[{place}]", proofs, "takes all who ask for one"


def _of_requests(limit: RateLimit) -> Iterator[str]:
    """What a limit goes by that only requests have."""
    for key in limit.key:
        if not isinstance(key, (ClientLimitKey, HostLimitKey)):
            yield f"key {key.__struct_config__.tag}"
    if limit.when is not None:
        yield "when"
    if not (limit.cost or "1").isdecimal():
        yield "an expression as cost"
