"""What policies say of a request as far as that needs no I/O, no clock and no state.

A kind has a function here; what it needs somebody to be asked for is `asked`, and goes on as if that was content.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeAlias

from msgspec import Struct, field

from sluicegate import ir

from .contract import Headers, Identity, Said

Word: TypeAlias = Literal["pass", "deny", "asked"]


class Facts(Struct, frozen=True, kw_only=True):
    """What a policy sees of a request, or of a connection (whose other fields are empty).

    Attributes:
        address: who asks; None: nobody can say, so nothing that allows by address holds, all that denies by it does.
        method, scheme, host, authority, path, query: as they go on to the backend; `path` is normalised.
        headers: without what policies may set; credentials are still among them.
        sni: the server name of the TLS handshake, lower case.
        listener, route, rule: ids.
        body_length: as the head declares it; None: it streams.
        assumed: who is taken to have proved who they are.
    """

    address: str | None
    sni: str | None
    listener: str
    route: str
    rule: str
    method: str = ""
    scheme: str = ""
    host: str = ""
    authority: str = ""
    path: str = ""
    query: str | None = None
    headers: Headers = ()
    body_length: int | None = None
    assumed: Identity | None = None


class Denial(Struct, frozen=True):
    """How a request is refused: a code of docs/errors.md, its status, and fields of the answer."""

    reason: str
    status: int
    headers: Headers = ()


class Passage(Struct):
    """What policies leave behind.

    Attributes:
        identity: who asks, proved.
        forward: fields set towards the backend, before the rule's filters.
        respond: fields appended to the response.
        removed_fields, removed_cookies, removed_pairs: names of credentials that the backend does not get.
    """

    identity: Identity | None = None
    forward: list[tuple[str, str]] = field(default_factory=list)
    respond: list[tuple[str, str]] = field(default_factory=list)
    removed_fields: set[str] = field(default_factory=set)
    removed_cookies: set[str] = field(default_factory=set)
    removed_pairs: set[str] = field(default_factory=set)


#: What one policy says: a word, or why it refuses.
Verdict: TypeAlias = Denial | Word

INVALID = Denial("policy_invalid", 500)

#: Octets that names of fields differ by for every backend.
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789")


def judge(policies: Iterable[ir.StanzaBase], facts: Facts, passage: Passage) -> tuple[tuple[Said, ...], Denial | None]:
    """Ask policies in their order, up to the first that refuses."""
    policies = tuple(policies)
    # One that cannot be honoured refuses whatever the others say.
    invalid = [policy for policy in policies if policy.invalid][:1]
    said: list[Said] = []
    for policy in invalid or policies:
        verdict = INVALID if policy.invalid else _JUDGES[type(policy)](policy, facts, passage)
        word = "deny" if isinstance(verdict, Denial) else verdict
        said.append(Said(kind=policy.kind, stanza=policy.stanza, from_=policy.policy, verdict=word))
        if isinstance(verdict, Denial):
            return tuple(said), verdict
    return tuple(said), None


def owned_fields(policies: Iterable[ir.StanzaBase]) -> frozenset[str]:
    """Fields that policies may set, each as `spelling` has it."""
    return frozenset(spelling(name) for policy in policies for name in policy.owned_fields())


def spelling(name: str) -> str:
    """The name of a field as some backends take it: case does not count, nor which byte no letter or digit is."""
    octets = name.encode(errors="surrogateescape").lower()
    return "".join(chr(octet) if octet in _PLAIN else "-" for octet in octets)


def _address(_: ir.ClientAddress, __: Facts, ___: Passage) -> Verdict:
    """Who asks is found out on the wire."""
    return "pass"


def _body(policy: ir.ClientBody, facts: Facts, _: Passage) -> Verdict:
    too_large = policy.max_bytes and facts.body_length is not None and facts.body_length > policy.max_bytes
    return Denial("body_too_large", 413) if too_large else "pass"


def _asked(_policy: ir.StanzaBase, _facts: Facts, _passage: Passage) -> Verdict:
    return "asked"


_JUDGES: dict[type[ir.StanzaBase], Callable[[Any, Facts, Passage], Verdict]] = {
    ir.ClientAddress: _address,
    ir.ClientBody: _body,
    ir.RateLimits: _asked,
    ir.ExternalAuth: _asked,
}
