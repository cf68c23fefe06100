"""Parts of a policy that are for nothing, or let nobody in, where they hold: all that they ask for is never there.

- What is asked of connections that show no certificate, or of which nothing but addresses is known (`docs/l4.md`).
- A certificate, where none of a client is validated.
- What is of TLS towards a Service to which none is spoken.
- What is of TLS, of certificates or of requests, at a Gateway or a ListenerSet of which no listener has these.
- Whom `exempt` names, where the credentials are of policies that override.
- Who asks, where no policy has a credential by which a request could say so. Of a Gateway that is told where the policy
  overrides, since such a part takes the word of nobody below: else each of its routes may have credentials.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Protocol

from sluicegate.ir.policies.base import Trait
from sluicegate.words import listed

from ...api import Diagnostics
from ...api.diagnostic import Code
from .effective import Place, Provenance
from .judged import Judged


class Where(Protocol):
    """What is looked at of a place; every look is noted."""

    def anonymous(self, place: Place) -> str:
        """The listener of a place, where connections come to it and no certificate is validated; empty: another one."""

    def of_connections(self, place: Place) -> str:
        """The listener of a place, where its routes take connections or datagrams; empty: another one."""

    def of_datagrams(self, place: Place) -> bool:
        """Whether datagrams come to the listener of a place, and nothing else."""

    def traits(self, place: Place) -> tuple[str, Set[Trait]]:
        """The listener or Service of a place (empty: another one), and what it has that parts of policies go by."""

    def proofs(self, place: Place, *, above: bool, spared: bool = False) -> tuple[str, Set[str]]:
        """The listener of a place to which requests come (empty: another one), and how these can prove who asks.

        `spared`: as far as a policy that does not override may spare them of it.
        """


#: What is told of a part: code, what the part does, why, and what to do.
_Told = tuple[Code, str, str, str]

_NO_CERTIFICATE = "no certificate of a client is validated there"
_VALIDATE_CONNECTIONS = (
    "let TLS end there, with spec.tls.frontend of the Gateway and tls.options of the listener (docs/l4.md)"
)
_SWITCH_OFF = "use authorization or certificate there, or switch it off there with mode: Disabled"
_SWITCH_OFF_DATAGRAMS = "use authorization with clients (addresses) there, or switch it off there with mode: Disabled"
_NO_PROOF_IN_DATAGRAMS = "datagrams come there, of which only the client's address is known"
_GO_BY_ADDRESSES = "use authorization with clients (addresses) there, or attach the policy elsewhere"
_GIVE_PROOF = "give the policy apiKey, jwt, basic or certificate, or another one at the same place"
_ASKED_OF_ALL = "the credentials there are of policies that override, which everybody is asked for"
_EXEMPT_ABOVE = "have the policy that overrides exempt them, or take it out"
_GIVE_TOKENS = "give the policy jwt, or another one at the same place: nothing else has claims and scopes"
#: What listeners have not, and what to do.
_WITHOUT: Mapping[Trait, tuple[str, str]] = {
    "tls": ("no TLS ends there", "attach the policy to a listener of HTTPS or TLS, or take it out"),
    "validated": (
        _NO_CERTIFICATE,
        "validate certificates of clients (spec.tls.frontend of the Gateway), or take it out",
    ),
    "spoken": (
        "no BackendTLSPolicy says that TLS is spoken there, so nothing is encrypted",
        "attach a BackendTLSPolicy to the Service, or take it out",
    ),
    "requests": ("connections come there, and no requests", "take it out, or attach the policy to a listener of HTTP"),
}
_VALIDATE = "validate certificates of clients there (spec.tls.frontend of the Gateway), or give another credential"


class Moot:
    """What is found of one policy."""

    def __init__(self, judged: Judged, where: Where) -> None:
        """Begin with nothing."""
        self._judged, self._where = judged, where
        self._found: dict[tuple[str, _Told], dict[str, None]] = {}
        #: Listeners without what a part is of, by part; a part that means something at one of them is in `_used`.
        self._without: dict[tuple[str, Trait], dict[str, None]] = {}
        self._used: set[str] = set()

    def at(self, merged: Mapping[str, Provenance], place: Place, *, above: bool) -> str:
        """Look at a place; `above`: the policy is attached to the Gateway or the ListenerSet of it.

        Returns:
            What is to be said of it in a condition; empty: nothing.
        """
        said = ""
        for name, item in merged.items():
            if name not in self._judged.judgement.stanzas or self._judged.policy.key not in item.holds:
                continue
            if above or place[0].kind == "Service":
                self._note_traits(name, place)
            for part, listener, told in self._parts(name, place, above=above):
                self._found.setdefault((part, told), {})[listener] = None
                said = _sentence(part, told, listener)
        return said

    def tell(self, diagnostics: Diagnostics) -> None:
        """Tell of each part once, with all the listeners where it is so."""
        for (part, told), listeners in self._found.items():
            code, *_, remedy = told
            diagnostics.warning(f"spec.{part}", code, _sentence(part, told, listed(listeners)), remedy)
        for (part, trait), listeners in self._without.items():
            if part not in self._used:
                why, remedy = _WITHOUT[trait]
                message = f"{part} means nothing at {listed(listeners)}: {why}"
                diagnostics.warning(f"spec.{part}", "policy-part-unused", message, remedy)

    def _note_traits(self, name: str, place: Place) -> None:
        listener, traits = self._where.traits(place)
        for field, trait in self._judged.judgement.stanzas[name].of_traits() if listener else ():
            part = _part(name, field)
            if trait in traits:
                self._used.add(part)
            else:
                self._without.setdefault((part, trait), {})[listener] = None

    def _parts(self, name: str, place: Place, *, above: bool) -> Iterator[tuple[str, str, _Told]]:
        stanza, where = self._judged.judgement.stanzas[name], self._where
        for field, outcome in stanza.of_certificates():
            if listener := where.anonymous(place):
                why, remedy = _NO_CERTIFICATE, _VALIDATE_CONNECTIONS
                if where.of_datagrams(place):
                    why, remedy = _NO_PROOF_IN_DATAGRAMS, _GO_BY_ADDRESSES
                yield _part(name, field), listener, ("no-client-validation", outcome, why, remedy)
        # Of routes for connections this is told without a look (`attach.py`).
        if above and stanza.is_unasked() and (listener := where.of_connections(place)):
            remedy = _SWITCH_OFF_DATAGRAMS if where.of_datagrams(place) else _SWITCH_OFF
            yield name, listener, ("policy-part-unused", "", "", remedy)
        for field, wanted, outcome in stanza.of_identities():
            if above and not self._judged.judgement.overrides and name != "certificate":
                continue
            is_below = name == "exempt" and not self._judged.judgement.overrides
            listener, proofs = where.proofs(place, above=above, spared=is_below)
            if not listener or wanted & proofs:
                continue
            if is_below and wanted & where.proofs(place, above=above)[1]:
                yield _part(name, field), listener, ("no-credential", outcome, _ASKED_OF_ALL, _EXEMPT_ABOVE)
                continue
            told: _Told = ("no-client-validation", outcome, _NO_CERTIFICATE, _VALIDATE)
            if name != "certificate":
                needs_token = "certificate" not in wanted
                why = "no policy there has jwt" if needs_token else "no policy there has a credential that can be shown"
                told = ("no-credential", outcome, why, _GIVE_TOKENS if needs_token else _GIVE_PROOF)
            yield _part(name, field), listener, told


def _part(name: str, field: str) -> str:
    return ".".join(filter(None, (name, field)))


def _sentence(part: str, told: _Told, listeners: str) -> str:
    _, outcome, why, _ = told
    if not outcome:
        return f"{part} is not asked of the connections of {listeners}, which pass without it"
    return f"{part} {outcome} at {listeners}: {why}"
