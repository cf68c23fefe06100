"""References to Secrets, ConfigMaps and ClusterTrustBundles: certificates, and CA bundles for validation.

Key material only passes through here into the IR's section of secrets; no message ever quotes it.
"""

from __future__ import annotations

import base64
import binascii
import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field

from sluicegate import ir

from ..api import ClusterTrustBundle, Code, ConfigMap, Diagnostics, ObjectKey, Secret, SecretReference
from ..store.snapshot import Snapshot
from .conditions import Reason
from .grants import Grants, allows, grant_remedy
from .options import CertificateFacts, Options
from .pem import pem_text
from .status import Verdict

_DAY = 86_400
EXPIRY_WARNING_SECONDS = 14 * _DAY
#: Of a cluster's Secrets only those of this type are watched.
_TYPE = "kubernetes.io/tls"
#: Names in a certificate that is made for a listener without hostname.
THIS_MACHINE = ("localhost", "*.localhost", "127.0.0.1", "::1")


@dataclass(slots=True)
class Material:
    """Resolves references and collects what they lead to.

    Attributes:
        good: certificates that serve now. Where the content of such a Secret goes bad, the old certificate serves on,
            and the condition says so.
        missed: since when Secrets are gone whose certificates serve on, by id, seconds since 1970: as it was before.
        missing: the same, as it is now.
        reads: every object looked at, existing or not: what the result depends on.
        certificates: usable certificates by id.
        trust: usable CA bundles by id.
        due: when the first of the certificates is judged otherwise, seconds since 1970; None: never.
    """

    snapshot: Snapshot
    grants: Grants
    options: Options
    good: Mapping[str, ir.Certificate] = field(default_factory=dict)
    reads: set[tuple[str, str, str]] = field(default_factory=set)
    missed: Mapping[str, float] = field(default_factory=dict)
    missing: dict[str, float] = field(default_factory=dict)
    certificates: dict[str, ir.Certificate] = field(default_factory=dict)
    trust: dict[str, ir.Trust] = field(default_factory=dict)
    due: float | None = None
    _checked: dict[str, CertificateFacts] = field(default_factory=dict)

    def certificate(
        self,
        source: ObjectKey,
        reference: SecretReference,
        path: str,
        invalid: Reason,
        diagnostics: Diagnostics,
        hostname: str | None = None,
    ) -> tuple[str | None, Verdict | None, CertificateFacts]:
        """Resolve a `SecretObjectReference`.

        Args:
            source: the object that refers.
            reference: what it refers to.
            path: field of the reference, for diagnostics.
            invalid: reason of the condition where the reference is invalid.
            diagnostics: takes what is wrong.
            hostname: of the listener that is served, with a certificate made for it where that is allowed; None: none.

        Returns:
            The certificate's id where there is one to serve with, the verdict on the reference where something is to be
            said of it, and facts about the certificate.
        """
        namespace = reference.namespace or source.namespace
        label = f"Secret {namespace}/{reference.name}"
        nothing = CertificateFacts()
        if reference.group != "" or reference.kind != "Secret":
            message = f"{reference.group or 'core'}/{reference.kind} is not supported here, only Secret"
            diagnostics.error(path, "invalid-certificate-ref", message, f"refer to a Secret of type {_TYPE}")
            return None, Verdict(False, invalid, message), nothing
        if namespace != source.namespace:
            self.reads.add(("ReferenceGrant", namespace, ""))
            if not allows(self.grants.get(namespace, ()), source, "", "Secret", reference.name):
                message = f"{label} is in another namespace and no ReferenceGrant allows the reference"
                diagnostics.error(path, "ref-not-permitted", message, grant_remedy(source, namespace, "Secret"))
                return None, Verdict(False, Reason.REF_NOT_PERMITTED, message), nothing
        identifier = f"{namespace}/{reference.name}"
        facts, remedy = self._check(namespace, reference.name, identifier)
        if facts.error is not None:
            kept = identifier if identifier in self.certificates else None
            made = self._self_signed(namespace, reference.name, hostname) if kept is None else None
            if made is not None:
                message = f"{label} {facts.error}: a certificate made at this start serves, which no client trusts"
                diagnostics.warning(path, "invalid-certificate-ref", message, remedy)
                return made, Verdict(False, invalid, message), nothing
            message = f"{label}: {facts.error}{self._outcome(identifier)}"
            diagnostics.error(path, "invalid-certificate-ref", message, remedy)
            return kept, Verdict(False, invalid, message), CertificateFacts()
        secret = self.snapshot.table("Secret").get((namespace, reference.name))
        if isinstance(secret, Secret) and secret.type != _TYPE:
            message = f"{label} is of type {secret.type}: it serves all the same, but other gateways may refuse it"
            diagnostics.warning(path, "secret-type", message, f"write type: {_TYPE} in the Secret")
        return identifier, self._check_times(label, identifier, path, facts, diagnostics), facts

    def _self_signed(self, namespace: str, name: str, hostname: str | None) -> str | None:
        """Make a certificate for a hostname (empty: any) where there is no Secret at all."""
        make = self.options.self_signed
        if make is None or hostname is None or isinstance(self.snapshot.table("Secret").get((namespace, name)), Secret):
            return None
        identifier = f"self-signed:{hostname or '*'}"
        if identifier not in self.certificates:
            chain, key = make((hostname,) if hostname else THIS_MACHINE)
            self.certificates[identifier] = ir.Certificate(id=identifier, chain=chain, key=key)
        return identifier

    def _check(self, namespace: str, name: str, identifier: str) -> tuple[CertificateFacts, str]:
        """Load and check a Secret once for each translation."""
        self.reads.add(("Secret", namespace, name))
        secret = self.snapshot.table("Secret").get((namespace, name))
        if not isinstance(secret, Secret):
            error = f"does not exist, or is not of type {_TYPE}"
            if self._is_in_grace(identifier):
                self.certificates[identifier] = self.good[identifier]
            return CertificateFacts(error=error), "create the Secret with this type, or correct the name"
        remedy = "give it tls.crt (a PEM chain, the leaf first) and tls.key (its PEM key)"
        facts = self._checked.get(identifier)
        if facts is None:
            chain, key = secret_value(secret, "tls.crt"), secret_value(secret, "tls.key")
            if chain is None or key is None:
                facts = CertificateFacts(error=f"{'tls.crt' if chain is None else 'tls.key'} is missing or not base64")
            else:
                facts = self.options.checks.certificate(chain, key)
                if facts.error is None:
                    self.certificates[identifier] = ir.Certificate(
                        id=identifier, chain=pem_text(chain), key=pem_text(key)
                    )
            self._checked[identifier] = facts
            if facts.error is not None and identifier in self.good:
                self.certificates[identifier] = self.good[identifier]
        return facts, remedy

    def _outcome(self, identifier: str) -> str:
        """How it goes on where a Secret cannot be used."""
        if identifier not in self.certificates:
            return ""
        since = self.missing.get(identifier)
        until = f" until {_time(int(since + self.options.certificate_grace))}" if since is not None else ""
        return f"; the last good certificate serves on{until}"

    def _is_in_grace(self, identifier: str) -> bool:
        """Whether the certificate of a Secret that is gone serves on: who issues it anew may delete it first."""
        now, grace = self.options.now, self.options.certificate_grace
        if now is None or not grace or identifier not in self.good:
            return False
        since = self.missing[identifier] = self.missed.get(identifier, now)
        end = since + grace
        if end <= now:
            return False
        self.due = min(end, self.due) if self.due is not None else end
        return True

    def _check_times(
        self, label: str, identifier: str, path: str, facts: CertificateFacts, diagnostics: Diagnostics
    ) -> Verdict | None:
        """Judge a certificate by the clock; it is served in any case, unless the one before it is better."""
        now = self.options.now
        if now is None or facts.not_after is None:
            return None
        start = facts.not_before or 0
        end = facts.not_after + 1  # the last second counts (RFC 5280 section 4.1.2.5)
        moments = [item for item in (start, end - EXPIRY_WARNING_SECONDS, end) if item > now]
        self.due = min([*moments, *([self.due] if self.due is not None else [])], default=None)
        expired = end <= now
        if start <= now and not expired:
            if end - EXPIRY_WARNING_SECONDS <= now:
                message = f"{label}: the certificate expires at {_time(facts.not_after)}"
                diagnostics.warning(path, "certificate-expires", message, "renew the certificate")
            return None
        message = (
            f"{label}: the certificate expired at {_time(facts.not_after)}"
            if expired
            else f"{label}: the certificate is not valid before {_time(start)}"
        )
        if self._is_replaced_too_early(identifier, now):
            self.certificates[identifier] = self.good[identifier]
            message += "; the last good certificate serves on"
        else:
            message += "; it is served all the same"
        code: Code = "certificate-expired" if expired else "certificate-not-yet-valid"
        diagnostics.warning(path, code, message, "renew the certificate" if expired else "check the clock, or wait")
        # The reference is to something that is there and well formed, so it is resolved (`InvalidCertificateRef`).
        return Verdict(True, Reason.RESOLVED_REFS, message)

    def _is_replaced_too_early(self, identifier: str, now: float) -> bool:
        """Whether the certificate that serves now is another one, and valid."""
        good = self.good.get(identifier)
        if good is None or good == self.certificates.get(identifier):
            return False
        facts = self.options.checks.certificate(good.chain.encode(), good.key.encode())
        end = facts.not_after if facts.error is None else None
        return end is not None and (facts.not_before or 0) <= now < end + 1

    def bundle(self, namespace: str, name: str) -> tuple[str | None, str]:
        """Resolve a ConfigMap with `ca.crt`: its trust id, or None and what is wrong with it."""
        self.reads.add(("ConfigMap", namespace, name))
        label = f"ConfigMap {namespace}/{name}"
        config = self.snapshot.table("ConfigMap").get((namespace, name))
        if not isinstance(config, ConfigMap):
            return None, f"{label} does not exist"
        pem = _bundle(config)
        if pem is None:
            return None, f"{label} has no key ca.crt"
        return self._trusted(f"ConfigMap/{namespace}/{name}", label, pem)

    def cluster_bundle(self, name: str) -> tuple[str | None, str]:
        """Resolve a ClusterTrustBundle: its trust id, or None and what is wrong with it."""
        self.reads.add(("ClusterTrustBundle", "", name))
        label = f"ClusterTrustBundle {name}"
        found = self.snapshot.table("ClusterTrustBundle").get(("", name))
        if not isinstance(found, ClusterTrustBundle):
            return None, f"{label} does not exist, or the API server does not serve the kind"
        return self._trusted(f"ClusterTrustBundle/{name}", label, found.spec.trust_bundle.encode())

    def _trusted(self, identifier: str, label: str, pem: bytes) -> tuple[str | None, str]:
        if identifier not in self.trust:
            error = self.options.checks.trust(pem)
            if error is not None:
                return None, f"{label}: {error}"
            self.trust[identifier] = ir.Trust(id=identifier, pem=pem_text(pem))
        return identifier, ""


def is_cluster_bundle(group: str, kind: str) -> bool:
    """Whether a reference is to a ClusterTrustBundle, which has no namespace."""
    return group == "certificates.k8s.io" and kind == "ClusterTrustBundle"


def secret_value(secret: Secret, key: str) -> bytes | None:
    """One value of a Secret, decoded; None where it is missing or not base64."""
    plain = secret.string_data.get(key)
    if plain is not None:
        return plain.encode()
    return _decoded(secret.data.get(key))


def _bundle(config: ConfigMap) -> bytes | None:
    """`ca.crt` of a ConfigMap; None where it is missing or not base64."""
    text = config.data.bundle
    return text.encode() if text is not None else _decoded(config.binary_data.bundle)


def _decoded(value: object) -> bytes | None:
    if isinstance(value, bytes):  # YAML's !!binary is decoded already
        return value
    if not isinstance(value, str):
        return None
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        return None


def _time(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
