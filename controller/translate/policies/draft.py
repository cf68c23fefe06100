"""A policy of ours while it is judged: what its stanzas share.

A module of a kind makes a `Draft`, gives each stanza that is set to a function, which returns the stanza's IR, and ends
with `judgement`. What a function could not honour it tells by `refuse` or `unresolved`; the stanza is then `invalid`:
what it holds for is refused, and other stanzas go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sluicegate import ir

from ...api import (
    BackendReference,
    Code,
    ConfigMap,
    Diagnostics,
    Object,
    PolicySpec,
    ReferenceGrant,
    Secret,
    Service,
    XBackend,
)
from ..backends import Transport, Use, resolve_backend
from ..conditions import Reason
from ..secrets import Material, secret_value
from ..status import Verdict
from .judged import Judgement

ACCEPTED = Verdict(True, Reason.ACCEPTED, "The policy is accepted")
RESOLVED = Verdict(True, Reason.RESOLVED_REFS, "All references are resolved")
#: What a policy does with a backend that it asks.
ASKED = Use(Transport.TCP, "what policies ask", None, "what policies ask it is not answered")


@dataclass(slots=True)
class Draft:
    """One policy while it is judged.

    Attributes:
        policy: as written; its `spec` is a `PolicySpec`.
        material: looks references up, and notes each look.
        diagnostics: takes what is wrong.
        accepted, resolved: verdicts so far; the first cause stays.
        secrets: what stanzas know and nobody else may, by id.
        faults: how often something could not be honoured.
    """

    policy: Object
    material: Material
    diagnostics: Diagnostics
    accepted: Verdict = ACCEPTED
    resolved: Verdict = RESOLVED
    secrets: dict[str, ir.PolicySecret] = field(default_factory=dict)
    faults: int = 0

    @property
    def spec(self) -> PolicySpec:
        """The head that all of our policies have."""
        found: PolicySpec = getattr(self.policy, "spec")  # noqa: B009 (every kind has one, of its own type)
        return found

    def head(self, stanza: str, *, off: bool = False) -> dict[str, Any]:
        """What the IR of every stanza has: id, `overrides`, `off`."""
        return {"id": f"{self.policy.key}/{stanza}", "overrides": self.spec.overrides, "off": off}

    def refuse(self, path: str, message: str, remedy: str) -> None:
        """Tell what cannot be honoured; `path`: below `spec`."""
        self.faults += 1
        self.diagnostics.error(f"spec.{path}", "invalid-policy", message, remedy)
        if self.accepted.ok:
            self.accepted = Verdict(False, Reason.INVALID, message)

    def warn(self, path: str, code: Code, message: str, remedy: str) -> None:
        """Tell what holds and should be otherwise, in the condition too; `path`: below `spec`."""
        self.diagnostics.warning(f"spec.{path}", code, message, remedy)
        if self.accepted == ACCEPTED:
            self.accepted = Verdict(True, Reason.ACCEPTED, f"{ACCEPTED.message}; {message}")

    def unresolved(self, path: str, reason: Reason, message: str, remedy: str) -> None:
        """Tell of a reference that leads to nothing, or to what cannot be used; `path`: below `spec`."""
        self.faults += 1
        # What is not there may be elsewhere than in the files that are looked at.
        code: Code = "policy-ref-not-found" if reason is Reason.INVALID_REF else "invalid-policy-ref"
        self.diagnostics.error(f"spec.{path}", code, message, remedy)
        self._resolve_to(Verdict(False, reason, message))

    def _resolve_to(self, verdict: Verdict) -> None:
        if self.resolved.ok:
            self.resolved = verdict

    def secret(self, name: str, path: str, keys: Mapping[str, str]) -> dict[str, bytes] | None:
        """Values of a Secret of the policy's own namespace.

        Args:
            name: of the Secret.
            path: field of the reference, below `spec`.
            keys: those that it must have, and what each is, for people; empty: all that it has.

        Returns:
            Decoded values by key; None: it was told what is wrong.
        """
        namespace = self.policy.namespace
        label = f"Secret {namespace}/{name}"
        self.material.reads.add(("Secret", namespace, name))
        found = self.material.snapshot.table("Secret").get((namespace, name))
        if not isinstance(found, Secret):
            remedy = "create the Secret in the namespace of the policy, or correct the name"
            self.unresolved(path, Reason.INVALID_REF, f"{label} does not exist", remedy)
            return None
        values: dict[str, bytes] = {}
        for key in keys or (*found.data, *found.string_data):
            value = secret_value(found, key)
            if value is None:
                message = f"{label}: {key} is missing or not base64"
                remedy = f"give it {key}{f' ({keys[key]})' if key in keys else ''}"
                self.unresolved(path, Reason.SECRET_INVALID, message, remedy)
                return None
            values[key] = value
        return values

    def config_map(self, name: str, path: str) -> ConfigMap | None:
        """A ConfigMap of the policy's own namespace; None: it was told that it is not there."""
        namespace = self.policy.namespace
        self.material.reads.add(("ConfigMap", namespace, name))
        found = self.material.snapshot.table("ConfigMap").get((namespace, name))
        if isinstance(found, ConfigMap):
            return found
        remedy = "create the ConfigMap in the namespace of the policy, or correct the name"
        self.unresolved(path, Reason.INVALID_REF, f"ConfigMap {namespace}/{name} does not exist", remedy)
        return None

    def backend(self, reference: BackendReference, path: str, use: Use = ASKED) -> str | None:
        """Id of a backend that the policy asks; None: it was told what is wrong.

        The stanza that asks it says so in its `needs`; then it and its endpoints are in the IR.
        """
        reads = MaterialReads(self.material)
        found, verdict = resolve_backend(self.policy.key, reference, use, f"spec.{path}", reads, self.diagnostics)
        if verdict is not None:
            self.faults += 1
            self._resolve_to(verdict)
        return found

    def keep(self, stanza: str, data: str, part: str = "") -> str:
        """Keep what a stanza knows and nobody else may; returns the id that it `needs`."""
        identifier = f"{self.policy.key}/{stanza}{f'/{part}' if part else ''}"
        self.secrets[identifier] = ir.PolicySecret(id=identifier, data=data)
        return identifier

    def judgement(self, stanzas: Mapping[str, ir.StanzaBase | None]) -> Judgement:
        """The end of it; None: the stanza is not set."""
        found = {name: item for name, item in stanzas.items() if item is not None}
        if not found:
            self.refuse("", "the policy says nothing", "set one of its parts, or delete it")
        return Judgement(
            accepted=self.accepted,
            resolved=self.resolved,
            stanzas=found,
            off=frozenset(name for name, item in found.items() if item.off),
            overrides=self.spec.overrides,
            secrets=self.secrets,
        )


@dataclass(frozen=True, slots=True)
class MaterialReads:
    """What is looked at for a backendRef of a policy."""

    material: Material

    def service(self, namespace: str, name: str) -> Service | None:
        """Look up a Service."""
        self.material.reads.add(("Service", namespace, name))
        found = self.material.snapshot.table("Service").get((namespace, name))
        return found if isinstance(found, Service) else None

    def external_backend(self, namespace: str, name: str) -> XBackend | None:
        """Look up an XBackend."""
        self.material.reads.add(("XBackend", namespace, name))
        found = self.material.snapshot.table("XBackend").get((namespace, name))
        return found if isinstance(found, XBackend) else None

    def external_names(self) -> bool:
        """Whether Services of type ExternalName lead anywhere."""
        return self.material.options.external_names

    def grants(self, namespace: str) -> Iterable[ReferenceGrant]:
        """Look up the grants of a namespace."""
        self.material.reads.add(("ReferenceGrant", namespace, ""))
        return self.material.grants.get(namespace, ())
