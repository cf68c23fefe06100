"""Whether a request is traced, by which policy, and how often: of what a table has, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeVar

import msgspec

from sluicegate import ir
from sluicegate.controller.api import readable

#: What of a listener has requests.
_OF_REQUESTS = frozenset({ir.ListenerProtocol.HTTP, ir.ListenerProtocol.HTTPS})


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """So many of so many requests."""

    numerator: int
    denominator: int


class Tracing(msgspec.Struct, frozen=True, kw_only=True):
    """How a request is traced.

    Attributes:
        policy: the XTelemetryPolicy.
        service_name: `service.name` of the spans.
        sampling: of the requests whose client decides nothing that counts: these have spans.
        sampling_of: what says so: the policy, or an HTTPFilter of the listener or of the rule.
        parent_sampling: of the requests that their client has sampled; None: what clients say of that does not count.
        propagation: how backends are told of a trace besides by `traceparent`: B3, B3Multi.
        collector: id of the backend that takes the spans.
    """

    policy: str
    service_name: str
    sampling: Share
    sampling_of: Literal["policy", "listener", "rule"]
    parent_sampling: Share | None
    propagation: tuple[str, ...]
    collector: str


_Kind = TypeVar("_Kind", bound=ir.PolicyBase)


def tracing_of(
    resources: ir.Resources, listener: ir.Listener | None, rule: ir.HttpRule | ir.L4Rule | None
) -> Tracing | None:
    """What holds for the requests of a rule, or for those that no rule of the listener takes; None: no traces."""
    if listener is None or listener.protocol not in _OF_REQUESTS or isinstance(rule, ir.L4Rule):
        return None
    policies = {item.id: item for item in resources.policies}

    def named(names: tuple[str, ...], kind: type[_Kind]) -> Iterator[_Kind]:
        found = (policies.get(name) for name in names)
        return (item for item in found if isinstance(item, kind))

    policy = next((item for item in named(listener.policies, ir.TelemetryTracing) if item.collector), None)
    if policy is None or policy.collector is None:
        return None
    of_rule = next(named(rule.policies, ir.FilterTelemetry), None) if rule is not None else None
    of_listener = next(named(listener.policies, ir.FilterTelemetry), None)
    told = next(named(listener.policies, ir.ClientTracing), None)
    share = of_rule or of_listener or policy
    return Tracing(
        policy=policy.id,
        service_name=policy.service_name,
        sampling=_share(share.sampling),
        sampling_of="rule" if of_rule is not None else "listener" if of_listener is not None else "policy",
        parent_sampling=_share(policy.parent_sampling) if policy.parent_sampling is not None else None,
        propagation=tuple(item.value for item in told.propagation) if told is not None else (),
        collector=policy.collector.backend,
    )


def _share(percentage: ir.Percentage) -> Share:
    return Share(numerator=percentage.numerator, denominator=percentage.denominator)


def tracing_in_words(tracing: Tracing) -> str:
    """The same for people."""
    return ", ".join(_words(tracing))


def _words(tracing: Tracing) -> Iterator[str]:
    yield f"by {readable(tracing.policy)}"
    by = "" if tracing.sampling_of == "policy" else f" (HTTPFilter of the {tracing.sampling_of})"
    yield f"samplingRate {_of(tracing.sampling)}{by}"
    parent = tracing.parent_sampling
    yield "what clients say of it does not count" if parent is None else f"{_of(parent)} of what clients have sampled"
    if tracing.propagation:
        yield f"backends are told by {' and '.join(tracing.propagation)} too"
    yield f"serviceName {tracing.service_name}"
    yield f"spans go to {tracing.collector}"


def _of(share: Share) -> str:
    return f"{share.numerator} of {share.denominator}"
