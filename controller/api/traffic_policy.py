"""XBackendTrafficPolicy (`gateway.networking.x-k8s.io/v1alpha1`, GEP-3388 and GEP-1619)."""

from __future__ import annotations

from .meta import Model, Object
from .policy import PolicyTargetReference
from .route import SessionPersistence


class Budget(Model, frozen=True, kw_only=True):
    """`spec.retryConstraint.budget`."""

    percent: int = 20
    interval: str = "10s"


class RequestRate(Model, frozen=True, kw_only=True):
    """`spec.retryConstraint.minRetryRate`."""

    count: int = 10
    interval: str = "1s"


class RetryConstraint(Model, frozen=True, kw_only=True):
    """`spec.retryConstraint`."""

    budget: Budget = Budget()
    min_retry_rate: RequestRate = RequestRate()


class XBackendTrafficPolicySpec(Model, frozen=True, kw_only=True):
    """`XBackendTrafficPolicy.spec`."""

    target_refs: tuple[PolicyTargetReference, ...] = ()
    retry_constraint: RetryConstraint | None = None
    session_persistence: SessionPersistence | None = None


class XBackendTrafficPolicy(Object, frozen=True, kw_only=True):
    """How much of what a Service gets may be retries, and which requests to it belong together."""

    spec: XBackendTrafficPolicySpec
