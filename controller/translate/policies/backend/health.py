"""`BackendPolicy.spec.health`: what has an endpoint left alone, and how it is asked whether it does well."""

from __future__ import annotations

import re

from sluicegate import ir

from ....api.backend_policy import ActiveHealth
from ...values import authority_error, path_error
from .draft import BackendDraft

#: A query as a client may write it.
_QUERY = re.compile(r"[!-~]*")


def judge_passive(draft: BackendDraft) -> ir.PassiveHealth | None:
    """`health.passive`; None: endpoints are judged by failed connections alone."""
    health = draft.policy.spec.health
    if health is None or health.passive is None:
        return None
    return ir.PassiveHealth(
        consecutive_errors=health.passive.consecutive_errors,
        eject_for_ms=draft.duration(health.passive.eject_for, "health.passive.ejectFor"),
        max_ejected_percent=health.passive.max_ejected,
    )


def judge_active(draft: BackendDraft) -> ir.ActiveHealth | None:
    """`health.active`; None: nobody asks."""
    health = draft.policy.spec.health
    if health is None or health.active is None:
        return None
    active, field = health.active, "health.active"
    question = _question(draft, active, field)
    if question is None:
        return None
    interval = draft.duration(active.interval, f"{field}.interval")
    timeout = draft.duration(active.timeout, f"{field}.timeout")
    return ir.ActiveHealth(
        question=question,
        interval_ms=interval,
        timeout_ms=timeout,
        unhealthy_after=active.unhealthy_threshold,
        healthy_after=active.healthy_threshold,
        port=active.port or 0,
    )


def _question(draft: BackendDraft, active: ActiveHealth, field: str) -> ir.HealthQuestion | None:
    for name, given in (("http", active.http), ("grpc", active.grpc)):
        if given is not None and active.type != name.upper():
            draft.refuse(f"{field}.{name}", f"{name} goes with type {name.upper()}", f"use that type, or remove {name}")
    if active.type == "TCP":
        return ir.TcpQuestion()
    if active.type == "GRPC":
        return ir.GrpcQuestion(service=active.grpc.service if active.grpc is not None else "")
    if active.type != "HTTP":
        draft.refuse(f"{field}.type", f"health checks of type {active.type} are not known", "use HTTP, TCP or GRPC")
        return None
    path = active.http.path if active.http is not None else "/"
    host = active.http.host.lower() if active.http is not None else ""
    before, _, query = path.partition("?")
    error = path_error(before)
    if error is None and ("#" in query or not _QUERY.fullmatch(query)):
        error = "has a character that no query has"
    if error is not None:
        draft.refuse(f"{field}.http.path", f"path {path!r} {error}", "give a path such as /healthz")
    error = authority_error(host)
    if error is not None:
        draft.refuse(f"{field}.http.host", f"host {host!r} {error}", "give a name such as shop.example")
    statuses = active.http.expected_statuses if active.http is not None else ()
    return ir.HttpQuestion(path=path, host=host, statuses=tuple(sorted(set(statuses))))
