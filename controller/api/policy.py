"""ReferenceGrant and BackendTLSPolicy (`gateway.networking.k8s.io`), and what our own policies have in common."""

from __future__ import annotations

import msgspec

from .meta import Model, Object


class GrantFrom(Model, frozen=True, kw_only=True):
    """`ReferenceGrant.spec.from[]`: who may refer."""

    group: str
    kind: str
    namespace: str


class GrantTo(Model, frozen=True, kw_only=True):
    """`ReferenceGrant.spec.to[]`: what may be referred to; without name all of the kind."""

    group: str
    kind: str
    name: str | None = None


class ReferenceGrantSpec(Model, frozen=True, kw_only=True):
    """`ReferenceGrant.spec`: any `from` together with any `to`."""

    from_: tuple[GrantFrom, ...] = msgspec.field(name="from", default=())
    to: tuple[GrantTo, ...] = ()


class ReferenceGrant(Object, frozen=True, kw_only=True):
    """Allows references into its own namespace."""

    spec: ReferenceGrantSpec


class PolicyTargetReference(Model, frozen=True, kw_only=True):
    """`LocalPolicyTargetReferenceWithSectionName`: for a Service the section is a port name."""

    kind: str
    name: str
    group: str = ""
    section_name: str | None = None


class PolicySpec(Model, frozen=True, kw_only=True):
    """What the `spec` of every policy of ours has; `strategy` (`Defaults`, `Overrides`) of those that are inherited."""

    target_refs: tuple[PolicyTargetReference, ...] = ()
    strategy: str = "Defaults"

    @property
    def overrides(self) -> bool:
        """Whether it holds in place of what is set lower."""
        return self.strategy == "Overrides"


class PolicyStanza(Model, frozen=True, kw_only=True):
    """What every stanza of an inherited policy has; `mode`: `Disabled` switches an inherited one off."""

    mode: str = ""

    @property
    def off(self) -> bool:
        """Whether it switches an inherited one off."""
        return self.mode == "Disabled"


class LocalObjectReference(Model, frozen=True, kw_only=True):
    """`LocalObjectReference`: in the namespace of the referrer."""

    kind: str
    name: str
    group: str = ""


class SubjectAltName(Model, frozen=True, kw_only=True):
    """`validation.subjectAltNames[]`."""

    type: str
    hostname: str = ""
    uri: str = ""


class BackendTLSPolicyValidation(Model, frozen=True, kw_only=True):
    """`BackendTLSPolicy.spec.validation`."""

    hostname: str
    ca_certificate_refs: tuple[LocalObjectReference, ...] = ()
    well_known_ca_certificates: str = msgspec.field(name="wellKnownCACertificates", default="")
    subject_alt_names: tuple[SubjectAltName, ...] = ()


class BackendTLSPolicySpec(Model, frozen=True, kw_only=True):
    """`BackendTLSPolicy.spec`."""

    validation: BackendTLSPolicyValidation
    target_refs: tuple[PolicyTargetReference, ...] = ()
    options: dict[str, str] = msgspec.field(default_factory=dict)


class BackendTLSPolicy(Object, frozen=True, kw_only=True):
    """TLS from the gateway to the pods of a Service (GEP-1897)."""

    spec: BackendTLSPolicySpec
