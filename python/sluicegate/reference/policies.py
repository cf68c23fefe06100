"""What policies say of a request as far as that needs no I/O, no clock and no state.

A kind has a function here; what it needs somebody to be asked for is `asked`, and goes on as if that was content.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from sluicegate import ir

from .authenticate import authenticate, is_authenticator
from .authorize import (
    FORBIDDEN,
    UNAUTHENTICATED,
    admits_connection,
    asks_identity,
    authorize,
    believes,
    user_of_connection,
)
from .certificate import admits
from .client import forward_certificate, judge_head
from .condition import condition
from .contract import Said
from .csrf import csrf
from .names import spelling
from .passage import Denial, Facts, Passage

Word: TypeAlias = Literal["pass", "deny", "asked"]


#: What one policy says: a word, or why it refuses.
Verdict: TypeAlias = Denial | Word

INVALID = Denial("policy_invalid", 500)


def judge(
    policies: Iterable[ir.StanzaBase],
    facts: Facts,
    passage: Passage,
    above: Sequence[str] = (),
    secrets: Mapping[str, str] = MappingProxyType({}),
) -> tuple[tuple[Said, ...], Denial | None]:
    """Ask policies in their order, up to the first that refuses; `above`: ids of those that the listener names."""
    policies = tuple(policies)
    # One that cannot be honoured refuses whatever the others say.
    invalid = [policy for policy in policies if policy.invalid][:1]
    if invalid:
        return (_said(invalid[0], "deny"),), INVALID
    said: list[Said] = []
    groups = _groups(policies, above)
    undecided: list[str] = []
    for policy in policies:
        if is_authenticator(policy):
            for group in groups:
                words, denial, asked = authenticate(group, facts, passage, secrets)
                said += [_said(each, word) for each, word in words]
                undecided += [] if asked is None else [asked]
                if denial is not None:
                    return tuple(said), denial
            groups = []
            continue
        verdict: Verdict
        if isinstance(policy, ir.AccessAuthorization):
            verdict = _authorize(policy, facts, passage, above, undecided)
        else:
            verdict = _JUDGES[type(policy)](policy, facts, passage)
        said.append(_said(policy, "deny" if isinstance(verdict, Denial) else verdict))
        if isinstance(verdict, Denial):
            return tuple(said), verdict
    return tuple(said), None


def _said(policy: ir.StanzaBase, word: str) -> Said:
    return Said(kind=policy.kind, stanza=policy.stanza, from_=policy.policy, verdict=word)


def _groups(policies: Iterable[ir.StanzaBase], above: Sequence[str]) -> list[list[ir.StanzaBase]]:
    """Authenticators with whom they do not ask: of each object that overrides, in the order of the listener; others."""
    objects = [id_.rpartition("/")[0] for id_ in above]
    groups: dict[int, list[ir.StanzaBase]] = {}
    for policy in policies:
        if is_authenticator(policy):
            overrides = policy.overrides and policy.id in above
            groups.setdefault(objects.index(policy.policy) if overrides else len(objects), []).append(policy)
    found = (groups[place] for place in sorted(groups))
    return [group for group in found if any(not isinstance(each, ir.AccessExempt) for each in group)]


def judge_connection(
    policies: Iterable[ir.StanzaBase], facts: Facts, above: Sequence[str] = ()
) -> tuple[tuple[Said, ...], Denial | None]:
    """As `judge`, of a connection or the datagrams of one client."""
    policies = tuple(policies)
    invalid = [policy for policy in policies if policy.invalid][:1]
    user = user_of_connection(policies, facts.certificate, above)
    said: list[Said] = []
    for policy in invalid or policies:
        denial = INVALID if policy.invalid else _of_connection(policy, facts, user, above)
        passed = "asked" if isinstance(policy, ir.RateLimits) else "pass"
        said.append(_said(policy, passed if denial is None else "deny"))
        if denial is not None:
            return tuple(said), denial
    return tuple(said), None


def _of_connection(
    policy: ir.StanzaBase, facts: Facts, user: tuple[str, str] | None, above: Sequence[str]
) -> Denial | None:
    match policy:
        case ir.AccessCertificate():
            certificate = facts.certificate
            is_admitted = policy.optional if certificate is None else admits(policy, certificate)
            return None if is_admitted else UNAUTHENTICATED
        case ir.AccessAuthorization():
            return None if admits_connection(policy, facts.address, user, above) else FORBIDDEN
    return None


def drops_underscores(policies: Iterable[ir.StanzaBase]) -> bool:
    """Whether fields with `_` in their name are taken out of what clients send."""
    headers = (policy for policy in policies if isinstance(policy, ir.ClientHeaders))
    return any(policy.underscores is ir.Underscores.DROP for policy in headers)


def owned_fields(policies: Iterable[ir.StanzaBase]) -> frozenset[str]:
    """Fields that policies may set, each as `spelling` has it."""
    return frozenset(spelling(name) for policy in policies for name in policy.owned_fields())


def _on_the_wire(_: ir.StanzaBase, __: Facts, ___: Passage) -> Verdict:
    """Who asks is found out there, and how connections are treated."""
    return "pass"


def _certificate_header(policy: ir.ClientCertificateHeader, facts: Facts, passage: Passage) -> Verdict:
    forward_certificate(policy, facts, passage)
    return "pass"


def _head(policy: ir.ClientHeaders, facts: Facts, _: Passage) -> Verdict:
    return judge_head(policy, facts) or "pass"


def _buffer(policy: ir.FilterBuffer, facts: Facts, passage: Passage) -> Verdict:
    """Of calls both sides may speak at once: who waited for all that one says would wait for ever."""
    return "pass" if facts.grpc else _body(policy, facts, passage)


def _body(policy: ir.ClientBody | ir.FilterBuffer, facts: Facts, _: Passage) -> Verdict:
    too_large = policy.max_bytes and facts.body_length is not None and facts.body_length > policy.max_bytes
    return Denial("body_too_large", 413) if too_large else "pass"


def _asked(_policy: ir.StanzaBase, _facts: Facts, _passage: Passage) -> Verdict:
    return "asked"


def _csrf(policy: ir.AccessCsrf, facts: Facts, _: Passage) -> Verdict:
    return csrf(policy, facts) or "pass"


def _authorize(
    policy: ir.AccessAuthorization, facts: Facts, passage: Passage, above: Sequence[str], undecided: Sequence[str]
) -> Verdict:
    """`undecided`: ids of credentials that somebody has to look at."""
    believed = believes(policy, passage.proved_by, above)
    if not undecided or not asks_identity(policy):
        return authorize(policy, facts, passage.identity, believed=believed) or "pass"
    if any(believes(policy, each, above) for each in undecided):
        return "asked"
    # Whose word is not taken changes nothing about what is refused without it.
    identity = passage.identity if believed else None
    return authorize(policy, facts, identity) or ("asked" if identity is None else "pass")


def _fault(policy: ir.FilterFault, facts: Facts, passage: Passage) -> Verdict:
    """What is certain without a draw."""
    if policy.when is not None and not condition(policy.when, facts, passage.identity, failing=False):
        return "pass"
    abort = policy.abort
    if abort is not None and abort.percentage.numerator >= abort.percentage.denominator:
        return Denial("fault", abort.status)
    return "asked"


def _credential(policy: ir.FilterCredential, _: Facts, passage: Passage) -> Verdict:
    """What the client sent under its name goes, and what others set; nobody is shown what it is."""
    field = (policy.header, "(credential)")
    if policy.backend is None:
        passage.give(field)
    else:
        passage.of_backends.append((policy.backend, field))
    return "pass"


def _pages(_policy: ir.FilterErrorPages, _facts: Facts, _passage: Passage) -> Verdict:
    """Asked where there is an error."""
    return "pass"


_JUDGES: dict[type[ir.StanzaBase], Callable[[Any, Facts, Passage], Verdict]] = {
    ir.ClientAddress: _on_the_wire,
    ir.ClientTls: _on_the_wire,
    ir.ClientCertificateHeader: _certificate_header,
    ir.ClientConnections: _on_the_wire,
    ir.ClientTimeouts: _on_the_wire,
    ir.ClientHeaders: _head,
    ir.ClientHttp2: _on_the_wire,
    ir.ClientBody: _body,
    ir.ClientAccessLog: _on_the_wire,
    ir.ClientTracing: _on_the_wire,
    ir.RateLimits: _asked,
    ir.AccessCsrf: _csrf,
    ir.AccessExternal: _asked,
    ir.ExternalAuth: _asked,
    ir.FilterFault: _fault,
    ir.FilterCredential: _credential,
    ir.FilterBuffer: _buffer,
    ir.FilterErrorPages: _pages,
    ir.FilterTelemetry: _on_the_wire,
}
