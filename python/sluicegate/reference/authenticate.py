"""AccessPolicy: who it is, as far as that needs nobody who is asked.

The first kind of credential that a request has decides: a valid one authenticates, an invalid one is 401 at once,
whatever else there is. None is 401, unless all kinds are optional. What overrides is asked by itself, before what does
not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from sluicegate import ir

from .addresses import is_in
from .claims import told_claims
from .condition import condition
from .contract import Identity
from .names import SPACE
from .passage import Denial, Facts, Passage
from .presented import Authenticator, present

#: A policy and what it says.
Word: TypeAlias = tuple[ir.StanzaBase, str]

_PROOFS = {
    ir.AccessCertificate: "certificate",
    ir.AccessApiKey: "apiKey",
    ir.AccessJwt: "jwt",
    ir.AccessBasic: "basic",
}


def is_authenticator(policy: ir.StanzaBase) -> bool:
    """Whether a policy has its turn with the credentials."""
    return isinstance(policy, ir.AccessExempt | Authenticator)


def authenticate(
    policies: Iterable[ir.StanzaBase], facts: Facts, passage: Passage, secrets: Mapping[str, str]
) -> tuple[list[Word], Denial | None, str | None]:
    """Ask the kinds of one group.

    Returns:
        What each said that was looked at, why the request is refused, and the id of one that somebody has to look at.
    """
    members = [policy for policy in policies if isinstance(policy, Authenticator)]
    exempt = next((policy for policy in policies if isinstance(policy, ir.AccessExempt)), None)
    forgiven = exempt is not None and _is_exempt(exempt, facts)
    said: list[Word] = [] if exempt is None else [(exempt, "pass" if forgiven else "absent")]
    for policy in filter(_is_taken_out, members):
        _remove(policy, passage)
    for policy in members:
        assumed = facts.assumed is not None and facts.assumed.proof == _PROOFS[type(policy)]
        found = facts.assumed if assumed else present(policy, facts, secrets)
        if found == "absent":
            said.append((policy, "absent"))
            continue
        if found != "invalid":
            _remove_others(members, policy, passage)
        if isinstance(found, Identity):
            if isinstance(policy, ir.AccessJwt):
                for name, value in told_claims(policy, found):
                    passage.tell(name, value)
            elif policy.forward_header:
                passage.tell(policy.forward_header, found.user)
            passage.prove(found, policy.id)
            return [*said, (policy, "pass")], None, None
        if found == "ask":
            return [*said, (policy, "asked")], None, policy.id
        if forgiven:
            return [*said, *((each, "absent") for each in members[members.index(policy) :])], None, None
        return [*said, (policy, "deny")], _unauthenticated(members), None
    if forgiven or all(policy.optional for policy in members):
        return said, None, None
    refused: list[Word] = [(policy, "deny" if policy in members else word) for policy, word in said]
    return refused, _unauthenticated(members), None


def _unauthenticated(members: Iterable[Authenticator]) -> Denial:
    return Denial("unauthenticated", 401, tuple(("www-authenticate", _challenge(policy)) for policy in members))


def _challenge(policy: Authenticator) -> str:
    if isinstance(policy, ir.AccessCertificate):
        return "ClientCertificate"
    realm = policy.realm.replace("\\", "\\\\").replace('"', '\\"')
    if isinstance(policy, ir.AccessApiKey):
        return f'ApiKey realm="{realm}"'
    if isinstance(policy, ir.AccessJwt):
        return f'Bearer realm="{realm}"'
    return f'Basic realm="{realm}", charset="UTF-8"'


def _is_taken_out(policy: Authenticator) -> bool:
    """Whether no credential of this kind goes on to the backend, whoever looked at it."""
    return isinstance(policy, ir.AccessCertificate) or not policy.keep


def _remove_others(members: Iterable[Authenticator], decides: Authenticator, passage: Passage) -> None:
    """Of what nobody looks at a backend which believes what comes from here gets nothing, whatever is to be kept."""
    for policy in members:
        if policy is not decides:
            _remove(policy, passage)


def _remove(policy: Authenticator, passage: Passage) -> None:
    if isinstance(policy, ir.AccessBasic):
        passage.removed_schemes.add(("authorization", "basic"))
    if isinstance(policy, ir.AccessApiKey | ir.AccessJwt):
        for source in policy.from_:
            match source:
                case ir.HeaderCredential(name=name, prefix=prefix) if prefix.rstrip(SPACE):
                    passage.removed_schemes.add((name, prefix.rstrip(SPACE).lower()))
                case ir.HeaderCredential():
                    passage.removed_fields.add(source.name)
                case ir.QueryCredential():
                    passage.removed_pairs.add(source.name)
                case ir.CookieCredential():
                    passage.removed_cookies.add(source.name)


def _is_exempt(policy: ir.AccessExempt, facts: Facts) -> bool:
    return (
        (not policy.clients or (facts.address is not None and is_in(policy.clients, facts.address)))
        and (not policy.methods or facts.method in policy.methods)
        and (not policy.when or condition(policy.when, facts, None, failing=False))
    )
