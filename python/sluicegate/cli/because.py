"""Why policies say what they say of a request.

Nothing is judged here: the engine is asked what it would say, were a policy another one. Which rule decides is found by
leaving rules out, and whether a credential is wrong or missing by what becomes of one that may be missing.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

import msgspec

from sluicegate import ir
from sluicegate.testing.decision import Decision, PolicyVerdict
from sluicegate.testing.request import Connection, Request
from sluicegate.testing.table import Table

from .settings_in_words import settings_in_words

Authenticator: TypeAlias = ir.AccessCertificate | ir.AccessApiKey | ir.AccessJwt | ir.AccessBasic

_VERDICTS = {
    "pass": "passes",
    "deny": "refuses",
    "asked": "asks; taken to pass here",
    "absent": "finds no credential",
}
#: Parts that refuse no request: they say how its client is spoken to.
_OF_CLIENTS = ("clientAddress", "tls", "clientCertificate", "connections", "timeouts", "http2", "accessLog")
#: Of parts that do something else than to let requests pass or to refuse them.
_OWN_VERDICTS = {
    ("exempt", "pass"): "holds",
    ("exempt", "absent"): "does not hold",
    ("local", "asked"): "counts; taken to pass here",
    **dict.fromkeys(((stanza, "pass") for stanza in _OF_CLIENTS), "holds"),
}
#: What is to be known where a policy goes by who asks, and nobody said it.
UNKNOWN_CLIENT = "nobody can say who asks: --from was not given"
#: Parts of `exempt`, and what is so where they do not hold.
_LACKING = {
    "clients": "it comes from none of clients",
    "methods": "its method is none of methods",
    "when": "when is not true",
}


def reasons(
    table: Table, request: Request | Connection, decision: Decision, closed: Mapping[str, str]
) -> tuple[str, ...]:
    """Why each of the policies of a decision says what it says; empty where that needs no word.

    Args:
        table: that decided.
        request: that it decided about.
        decision: on it.
        closed: what is wrong with policies that cannot be read, by policy.
    """
    policies = {item.id: item for item in table.resources.policies}
    asked = _Asked(table, table.rule(decision), request, decision.policies, policies, closed)
    return tuple(_reason(asked, said) for said in decision.policies)


def verdict_in_words(said: PolicyVerdict) -> str:
    """What a part of a policy says of a request, for people."""
    return _OWN_VERDICTS.get((said.stanza, said.verdict), _VERDICTS[said.verdict])


class _Asked(NamedTuple):
    """A decision, and the engine that made it."""

    table: Table
    rule: ir.HttpRule | ir.L4Rule | None
    request: Request | Connection
    said: tuple[PolicyVerdict, ...]
    policies: Mapping[str, ir.Policy]
    closed: Mapping[str, str]

    def policy(self, said: PolicyVerdict) -> ir.Policy | None:
        """The part of a policy that said something."""
        return self.policies.get(f"{said.policy}/{said.stanza}")

    def verdict(self, policy: ir.Policy, others: Iterable[ir.Policy] = ()) -> str | None:
        """What a policy would say if it, and others, were these; None: it would not have been asked."""
        decision = self.table.variant(self.rule, (*others, policy)).decide(self.request)
        words = (item.verdict for item in decision.policies if f"{item.policy}/{item.stanza}" == policy.id)
        return next(words, None)

    def unknown_client(self, clients: Iterable[str], expression: str) -> str:
        """What is to be added where addresses are asked for."""
        asks = bool(tuple(clients)) or "client.address" in expression
        return f" ({UNKNOWN_CLIENT})" if asks and self.request.client is None else ""


def _reason(asked: _Asked, said: PolicyVerdict) -> str:
    policy = asked.policy(said)
    if isinstance(policy, ir.StanzaBase) and policy.invalid:
        why = asked.closed.get(said.policy, "")
        return f"it cannot be used as it is written: {why}" if why else "it cannot be honoured"
    look = _LOOKS.get(type(policy))
    return look(asked, policy, said.verdict) if look is not None else ""


# --- By part ----------------------------------------------------------------------------------------------------------


def _exempt(asked: _Asked, policy: ir.AccessExempt, verdict: str) -> str:
    if verdict == "pass":
        return "no credentials are asked of it"
    nothing = msgspec.structs.replace(policy, clients=(), methods=(), when="")
    parts = {name: getattr(policy, name) for name in _LACKING if getattr(policy, name)}
    lacking = {
        name: part
        for name, part in parts.items()
        if asked.verdict(msgspec.structs.replace(nothing, **{name: part})) == "absent"
    }
    unknown = asked.unknown_client(lacking.get("clients", ()), lacking.get("when", ""))
    return "; ".join(_LACKING[name] for name in lacking) + unknown


def _authenticator(asked: _Asked, policy: Authenticator, verdict: str) -> str:
    assumed = asked.request.identity if isinstance(asked.request, Request) else None
    if verdict == "pass" and assumed is not None and assumed.proof == policy.stanza:
        return f"--as says who it is, {assumed.user or 'nobody by name'}"
    if verdict == "asked":
        return "what it is shown is taken to be right, and nobody's: --as says whose it is"
    if verdict == "absent" and any(item.stanza == "exempt" and item.verdict == "pass" for item in asked.said):
        return "the request is exempt, whatever it shows"
    if verdict != "deny":
        return ""
    # Where nothing is shown all kinds of a group refuse together, so all of them may have it missing.
    denying = [item for said in asked.said if said.verdict == "deny" and (item := asked.policy(said)) is not None]
    optional = [msgspec.structs.replace(item, optional=True) for item in denying if isinstance(item, Authenticator)]
    is_missing = asked.verdict(msgspec.structs.replace(policy, optional=True), optional) != "deny"
    return (_MISSING if is_missing else _WRONG)[type(policy)](policy)


def _authorization(asked: _Asked, policy: ir.AccessAuthorization, verdict: str) -> str:
    if verdict == "asked":
        return "it depends on who asks, which is not known here: --as says who"

    def is_decided(number: int) -> bool:
        """Whether one of so many rules decides."""
        fewer = msgspec.structs.replace(policy, rules=policy.rules[:number], default_allow=verdict == "deny")
        return asked.verdict(fewer) == verdict

    place = bisect.bisect_left(range(1, len(policy.rules) + 1), True, key=is_decided)
    looked_at = policy.rules[: place + 1]
    expressions = " ".join(rule.when for rule in looked_at)
    unknown = asked.unknown_client([block for rule in looked_at for block in rule.clients], expressions)
    if place == len(policy.rules):
        return f"no rule holds, and default is {'Allow' if policy.default_allow else 'Deny'}{unknown}"
    name = f" ({policy.rules[place].name})" if policy.rules[place].name else ""
    return f"by rules[{place}]{name}{unknown}"


def _csrf(asked: _Asked, _policy: ir.AccessCsrf, verdict: str) -> str:
    if verdict != "deny" or not isinstance(asked.request, Request):
        return ""
    sent = {name.lower(): value for name, value in asked.request.headers}
    name = "Sec-Fetch-Site" if "sec-fetch-site" in sent else "Origin"
    return f"another site sent it, {name} is {sent.get(name.lower(), '')}"


def _external(_asked: _Asked, policy: ir.AccessExternal | ir.ExternalAuth, _verdict: str) -> str:
    return (policy.service.backend or "") if policy.service is not None else ""


def _settings(_asked: _Asked, policy: ir.Policy, _verdict: str) -> str:
    return settings_in_words(policy)


def _body(_asked: _Asked, policy: ir.ClientBody | ir.FilterBuffer, verdict: str) -> str:
    return f"bodies may have up to {policy.max_bytes:,} bytes" if verdict == "deny" else settings_in_words(policy)


_LOOKS: dict[type, Callable[[_Asked, Any, str], str]] = {
    ir.AccessExempt: _exempt,
    ir.AccessCertificate: _authenticator,
    ir.AccessApiKey: _authenticator,
    ir.AccessJwt: _authenticator,
    ir.AccessBasic: _authenticator,
    ir.AccessAuthorization: _authorization,
    ir.AccessCsrf: _csrf,
    ir.AccessExternal: _external,
    ir.ExternalAuth: _external,
    ir.RateLimits: _settings,
    ir.ClientAddress: _settings,
    ir.ClientTls: _settings,
    ir.ClientCertificateHeader: _settings,
    ir.ClientConnections: _settings,
    ir.ClientTimeouts: _settings,
    ir.ClientHeaders: _settings,
    ir.ClientHttp2: _settings,
    ir.ClientBody: _body,
    ir.ClientAccessLog: _settings,
    ir.FilterBuffer: _body,
}


# --- Credentials ------------------------------------------------------------------------------------------------------


def _places(sources: Iterable[ir.KeySource]) -> str:
    return " or ".join(map(_place, sources))


def _place(source: ir.KeySource) -> str:
    match source:
        case ir.HeaderCredential(name=name, prefix=prefix):
            return f"{name}: {prefix.rstrip()}" if prefix.rstrip() else name
        case ir.QueryCredential(name=name):
            return f"the query parameter {name}"
        case ir.CookieCredential(name=name):
            return f"the cookie {name}"


_MISSING: dict[type, Callable[[Any], str]] = {
    ir.AccessCertificate: lambda _: "the client shows no certificate",
    ir.AccessApiKey: lambda policy: f"there is no key in {_places(policy.from_)}",
    ir.AccessJwt: lambda policy: f"there is no token in {_places(policy.from_)}",
    ir.AccessBasic: lambda _: "there is no Authorization: Basic",
}
_WRONG: dict[type, Callable[[Any], str]] = {
    ir.AccessCertificate: lambda _: "the certificate has none of the names that are asked for",
    ir.AccessApiKey: lambda policy: (
        f"what is in {_places(policy.from_)} is no client's key, or keys of several clients"
    ),
    ir.AccessJwt: lambda policy: f"there are several tokens in {_places(policy.from_)}",
    ir.AccessBasic: lambda _: "Authorization: Basic is there twice, or has no user and password",
}
