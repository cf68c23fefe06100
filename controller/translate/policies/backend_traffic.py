"""XBackendTrafficPolicy by itself: retry budget (GEP-3388) and sessions (GEP-1619) of a Service."""

from __future__ import annotations

from sluicegate import ir

from ...api import Diagnostics, XBackendTrafficPolicy
from ..conditions import Reason
from ..secrets import Material
from ..sessions import translate_session
from ..status import Verdict
from ..unsupported import Unsupported
from ..values import parse_duration
from .judged import Judgement

ACCEPTED = Verdict(True, Reason.ACCEPTED, "The policy is accepted")
RESOLVED = Verdict(True, Reason.RESOLVED_REFS, "All references are resolved")


def judge_backend_traffic(policy: XBackendTrafficPolicy, _material: Material, diagnostics: Diagnostics) -> Judgement:
    """Judge one policy."""
    identifier, field = str(policy.key), "spec.sessionPersistence"
    try:
        resource = ir.BackendTraffic(
            id=identifier,
            retry_budget=_budget(policy),
            session=translate_session(policy.spec.session_persistence, identifier, field),
        )
    except Unsupported as error:
        diagnostics.error(error.field, "invalid-policy", error.message, error.remedy)
        accepted = Verdict(False, Reason.INVALID, error.message)
        return Judgement(accepted, RESOLVED, {"": ir.BackendTraffic(id=identifier, invalid=True)})
    return Judgement(ACCEPTED, RESOLVED, {"": resource})


def _budget(policy: XBackendTrafficPolicy) -> ir.RetryBudget | None:
    constraint, field = policy.spec.retry_constraint, "spec.retryConstraint"
    if constraint is None:
        return None
    return ir.RetryBudget(
        percent=constraint.budget.percent,
        interval_ms=_interval(constraint.budget.interval, f"{field}.budget.interval"),
        min_count=constraint.min_retry_rate.count,
        min_interval_ms=_interval(constraint.min_retry_rate.interval, f"{field}.minRetryRate.interval"),
    )


def _interval(value: str, field: str) -> int:
    found = parse_duration(value)
    if not found:
        raise Unsupported(field, f"{value!r} is not a duration above 0", "use a value such as 10s")
    return found
