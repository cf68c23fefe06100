"""How much of what a backend gets may be retries, and which requests belong together."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta

from ..base import Base, Unsigned32, Unsigned64
from ..http import Session
from .base import PolicyBase


class RetryBudget(Base, frozen=True, kw_only=True):
    """How much may be retries, of one process; further ones are answered 503 (GEP-3388).

    Attributes:
        percent: of the requests within the interval.
        interval_ms: milliseconds.
        min_count: so many there may be in any case within their own interval.
        min_interval_ms: milliseconds.
    """

    percent: Annotated[int, Meta(ge=0, le=100)]
    interval_ms: Unsigned64
    min_count: Unsigned32
    min_interval_ms: Unsigned64


class BackendTraffic(PolicyBase, frozen=True, kw_only=True, tag="backend_traffic"):
    """An XBackendTrafficPolicy. Backends name it.

    Attributes:
        retry_budget: None: any number of retries.
        session: of rules that say nothing of sessions themselves.
        invalid: the policy cannot be honoured: 500.
    """

    acts_on: ClassVar[frozenset[str]] = frozenset({"backend"})

    retry_budget: RetryBudget | None = None
    session: Session | None = None
    invalid: bool = False
