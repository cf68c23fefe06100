"""What is compared of a decision, and the words for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Literal, NamedTuple, get_args

import msgspec

from sluicegate import ir
from sluicegate.controller.api import readable

from ..decision import Decision
from ..request import Connection, Request
from .side import Plane, Rule, Side

#: What may be another of a request: who takes it, what comes of it, where it goes, which policies hold for it; then
#: what clients see of the answer, what the backend sees of the request, who gets a copy, and limits of time, retries,
#: sessions and TLS.
Aspect = Literal["listener", "status", "backend", "policy", "answer", "request", "mirror", "settings"]
ASPECTS: tuple[Aspect, ...] = get_args(Aspect)

_REFUSED = "deny"
_NOWHERE = frozenset({"redirect", "respond", "cors_preflight", "rule_invalid"})
#: Fields of an answer that a difference is told by.
_LOCATION = "location"


class Policy(NamedTuple):
    """A policy that holds for a request.

    Attributes:
        name: for people.
        verdict: what it says.
        content: what it is made of.
    """

    name: str
    verdict: str
    content: bytes


class Seen(NamedTuple):
    """What a set does with a request.

    Attributes:
        listener: that takes it; empty: none does.
        route: with the index of the rule; empty: none.
        status: in words.
        shares: backends, with how much of such requests each gets.
        policies: that hold for it.
        answer, request: fields; empty where there is none.
        mirrors: backends that get a copy.
        settings: all else that is set for it.
        refused: whether a policy refuses it.
    """

    listener: str
    route: str
    status: str
    shares: tuple[tuple[str, Fraction], ...]
    policies: tuple[Policy, ...]
    answer: tuple[str, ...]
    request: tuple[str, ...]
    mirrors: tuple[str, ...]
    settings: tuple[tuple[str, bytes], ...]
    refused: bool


def seen(side: Side, plane: Plane, decision: Decision) -> Seen:
    """What is to be compared of a decision.

    Args:
        side: the set.
        plane: that decided.
        decision: its.
    """
    rule = plane.rule(decision)
    forwards = decision.outcome == "forward"
    refused = any(item.verdict == _REFUSED for item in decision.policies)
    answer = decision.response.headers if decision.response is not None else ()
    sent = decision.request
    return Seen(
        listener=decision.listener or "",
        route=f"{decision.route} rules[{decision.rule}]" if decision.route is not None else "",
        status=_status(decision),
        shares=() if decision.reason in _NOWHERE else tuple(_shares(decision)),
        policies=tuple(_policies(side, rule, decision)),
        answer=tuple(sorted(f"{name.lower()}: {value}" for name, value in answer)),
        request=(
            ()
            if sent is None
            else (
                f"{sent.method} {sent.authority}{sent.target}",
                *sorted(f"{name.lower()}: {value}" for name, value in sent.headers),
            )
        ),
        mirrors=tuple(sorted(decision.mirrors)),
        settings=tuple(_settings(plane, rule if forwards else None, decision)),
        refused=refused,
    )


def differs(old: Seen, new: Seen) -> Iterator[Aspect]:
    """What two answers to one request differ in; empty: nothing."""
    if old.listener != new.listener:
        yield "listener"
    if old.status != new.status:
        yield "status"
    if old.shares != new.shares:
        yield "backend"
    # Where only one has a route, that says all.
    if old.policies != new.policies and bool(old.route) == bool(new.route):
        yield "policy"
    if old.answer != new.answer and (old.status == new.status or _location(old) != _location(new)):
        yield "answer"
    if old.request != new.request and old.request and new.request:
        yield "request"
    if old.mirrors != new.mirrors:
        yield "mirror"
    if old.settings != new.settings and old.status == new.status and old.listener and new.listener:
        yield "settings"


def words(aspect: Aspect, one: Seen, other: Seen) -> str:
    """What one of two answers is in an aspect, for people; lists have what the other one has not."""
    if aspect == "listener":
        return one.listener or "none"
    if aspect == "status":
        return one.status
    if aspect == "backend":
        return _shares_text(one.shares)
    if aspect == "policy":
        return _policies_text(one.policies, other.policies)
    if aspect == "settings":
        names = [f"{name} {value.decode()}" for name, value in one.settings if (name, value) not in other.settings]
        return ", ".join(names) or "none besides"
    answers = (one.answer, other.answer) if one.status == other.status else (_location(one), _location(other))
    lists = {"answer": answers, "request": (one.request, other.request)}
    here, there = lists.get(aspect, (one.mirrors, other.mirrors))
    return "; ".join(item for item in here if item not in there) or "none"


def title(asked: Request | Connection) -> str:
    """A request as `explain --request` takes it."""
    if isinstance(asked, Connection):
        return f"{asked.protocol}://{asked.server_name or ''}:{asked.port}"
    return f"{asked.method} {asked.scheme}://{asked.authority}{asked.target}"


def _location(item: Seen) -> list[str]:
    return [field for field in item.answer if field.startswith(f"{_LOCATION}:")]


def _status(decision: Decision) -> str:
    if decision.outcome == "forward":
        return "forwarded"
    if decision.outcome == "close":
        return f"closed ({decision.reason})"
    return f"{decision.status} ({decision.reason})"


def _shares(decision: Decision) -> Iterator[tuple[str, Fraction]]:
    total = sum(item.weight for item in decision.backends)
    found: dict[str, int] = {}
    for item in decision.backends:
        found[item.backend or ""] = found.get(item.backend or "", 0) + item.weight
    for name in sorted(found):
        if found[name]:
            yield name, Fraction(found[name], total)


def _shares_text(shares: tuple[tuple[str, Fraction], ...]) -> str:
    if not shares:
        return "none"
    if len(shares) == 1 and shares[0][0]:
        return shares[0][0]
    most_first = sorted(shares, key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name or 'none (it cannot be used)'} {_percent(share)}" for name, share in most_first)


def _percent(share: Fraction) -> str:
    return f"{float(share * 100):.4g} %"


def _policies(side: Side, rule: Rule | None, decision: Decision) -> Iterator[Policy]:
    for said in decision.policies:
        content = side.content_of_policy(f"{said.policy}/{said.stanza}") or side.content_of_policy(said.policy)
        yield Policy(f"{said.stanza} of {readable(said.policy)}", said.verdict, content)
    if rule is None or decision.reason in _NOWHERE:
        return
    # Of those of one kind the first one of a backend counts; they have no say, but hold.
    kinds: set[tuple[str, str]] = set()
    for item in rule.backends:
        backend = side.backends.get(item.backend or "")
        if backend is None or not item.weight:
            continue
        for name in backend.policies:
            kind = name.partition("/")[0]
            if (backend.id, kind) not in kinds:
                kinds.add((backend.id, kind))
                yield Policy(f"{readable(name)} at {backend.id}", "holds", side.content_of_policy(name))


def _policies_text(here: Iterable[Policy], there: Iterable[Policy]) -> str:
    others = {item.name: item for item in there}
    own = list(here)
    parts: list[str] = []
    for item in own:
        other = others.get(item.name)
        if other == item:
            continue
        said = {"pass": "passes", "deny": "refuses", "asked": "asks", "absent": "finds no credential"}
        is_changed = other is not None and other.content != item.content
        parts.append(
            f"{item.name} {said.get(item.verdict, item.verdict)}{' (its settings differ)' if is_changed else ''}"
        )
    return ", ".join(parts) or ("none besides" if own else "none")


def _settings(plane: Plane, rule: Rule | None, decision: Decision) -> Iterator[tuple[str, bytes]]:
    listener = plane.listeners.get(decision.listener or "")
    if listener is not None and listener.tls is not None:
        yield "TLS", msgspec.json.encode(listener.tls)
    if isinstance(rule, ir.HttpRule):
        yield "timeouts", msgspec.json.encode(rule.timeouts)
        yield "retries", msgspec.json.encode(rule.retry)
        yield "the session", msgspec.json.encode(rule.session)
