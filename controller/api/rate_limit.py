"""RateLimitPolicy (`sluicegate.dev/v1alpha1`): how much clients may ask for (`deploy/crds/ratelimitpolicy.yaml`)."""

from __future__ import annotations

import msgspec

from .meta import Model, Object
from .policy import PolicySpec, PolicyStanza


class RateLimit(Model, frozen=True, kw_only=True):
    """`spec.local.limits[]`: either `requests` in each `per`, or so many that are `concurrent`.

    `burst` is `requests` where it is not set.
    """

    name: str
    key: tuple[str, ...] = ()
    when: str = ""
    requests: int | None = None
    per: str = ""
    concurrent: int | None = None
    burst: int | None = None
    cost: str = "1"
    scope: str = "Target"
    pods: str = "Split"
    mode: str = "Enforce"


class Exemptions(Model, frozen=True, kw_only=True):
    """`spec.local.exempt`: networks whose clients are not limited."""

    clients: tuple[str, ...] = ()


class Reject(Model, frozen=True, kw_only=True):
    """`spec.local.reject`: the answer to what is refused."""

    status: int = 429


class LocalLimits(PolicyStanza, frozen=True, kw_only=True):
    """`spec.local`: limits whose budgets are kept in the pods of the Gateway."""

    limits: tuple[RateLimit, ...] = ()
    exempt: Exemptions = Exemptions()
    max_keys: int = 65_536
    headers: str = "Standard"
    reject: Reject = Reject()


class RateLimitPolicySpec(PolicySpec, frozen=True, kw_only=True):
    """`RateLimitPolicy.spec`."""

    local: LocalLimits | None = None


class RateLimitPolicy(Object, frozen=True, kw_only=True):
    """Limits of requests, connections and flows."""

    spec: RateLimitPolicySpec = msgspec.field(default_factory=RateLimitPolicySpec)
