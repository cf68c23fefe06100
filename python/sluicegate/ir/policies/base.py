"""What all policies have, and what the stanzas of inherited ones have besides."""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import ClassVar, Literal, TypeAlias

from ..base import Base

#: What a resource needs to be there: section and id.
Need: TypeAlias = tuple[str, str]

#: Of a listener: TLS ends at it, certificates of clients are validated, requests come to it. Of a Service: TLS is
#: spoken to it.
Trait: TypeAlias = Literal["tls", "validated", "requests", "spoken"]

#: Stanzas of an AccessPolicy by which a client proves who it is; tokens alone have claims and scopes.
PROOFS = frozenset({"certificate", "apiKey", "jwt", "basic"})
CLAIMS = frozenset({"jwt"})


class PolicyBase(Base, frozen=True, kw_only=True, tag_field="type"):
    """What all kinds have: `id` is `<kind>/<namespace>/<name>`, and `/<stanza>` where the kind has stanzas.

    `acts_on`: what may name it, of `listener`, `http_rule`, `l4_rule`, `backend`. A policy that is named elsewhere
    refuses its transaction: it is never skipped.
    """

    acts_on: ClassVar[frozenset[str]] = frozenset()

    id: str

    def needs(self) -> Iterable[Need]:
        """What else has to go where the policy goes: of `trust`, `backends`, `policy_secrets`, `certificates`."""
        return ()

    def of_requests(self) -> Iterable[tuple[str, str]]:
        """Parts that mean nothing for connections and flows, by their place in the stanza, and what they go by."""
        return ()

    def of_hosts(self) -> Iterable[tuple[str, str]]:
        """Parts that go by a host and not by more, by their place, and what each does where there is none."""
        return ()

    def of_certificates(self) -> Iterable[tuple[str, str]]:
        """Parts that ask connections for a certificate, by their place, and what each does where none is validated."""
        return ()

    def of_identities(self) -> Iterable[tuple[str, Set[str], str]]:
        """Parts that are about who asks, by their place: one of what can prove it, and what each does without."""
        return ()

    def of_traits(self) -> Iterable[tuple[str, Trait]]:
        """Parts that mean something only where there is a trait, by their place, and that trait."""
        return ((place, "requests") for place, _ in self.of_requests())

    def is_unasked(self) -> bool:
        """Whether it lets nobody in without a proof, and connections and flows are not asked for one."""
        return False

    def owned_fields(self) -> Iterable[str]:
        """Header fields that it may set towards backends: no client may send one, in any spelling."""
        return ()

    def credential_fields(self) -> Iterable[str]:
        """Header fields in which it looks for credentials, whoever may set them towards backends."""
        return ()


class StanzaBase(PolicyBase, frozen=True, kw_only=True):
    """One stanza of a policy that is inherited.

    `kind`, `stanza`: the kind of the object, and the stanza as it is written there: what is merged by.
    `tightens`: it can only be tightened: under an override the lower one holds as well.

    Attributes:
        overrides: `strategy: Overrides`; it counts where a listener names the policy.
        off: `mode: Disabled`; nothing else of it is looked at.
        invalid: it cannot be honoured: what it holds for is refused.
    """

    kind: ClassVar[str] = ""
    stanza: ClassVar[str] = ""
    tightens: ClassVar[bool] = False

    overrides: bool = False
    off: bool = False
    invalid: bool = False

    @classmethod
    def holds_below(cls, place: str) -> bool:
        """Whether it holds for what is below a listener that names it, of this kind.

        What only listeners name is about clients, whatever they ask for.
        """
        return place in cls.acts_on or cls.acts_on == {"listener"}

    @property
    def policy(self) -> str:
        """The object: `<kind>/<namespace>/<name>`."""
        return self.id.removesuffix(f"/{self.stanza}")
