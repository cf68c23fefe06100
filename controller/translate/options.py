"""What the translator is told besides objects: settings, and checks that need native code.

The checks are injected so that translation stays pure Python and testable; `sluicegate.checks` has the real
ones. The ones here look only at the shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from .infrastructure.plane import ProvisionOptions
from .pem import PemError, blocks, certificates, pem_text

IMPLICIT_CLASS = "sluicegate"


class CertificateFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found in a certificate chain and its key.

    Attributes:
        error: why they cannot be used; None for good ones.
        names: DNS names of the leaf.
        not_before: seconds since 1970; None where unknown.
        not_after: seconds since 1970; None where unknown.
    """

    error: str | None = None
    names: tuple[str, ...] = ()
    not_before: int | None = None
    not_after: int | None = None


class UsersFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found in an htpasswd file: why it cannot be used, or users whose hashes are weak."""

    error: str | None = None
    weak: tuple[str, ...] = ()


class KeySetFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found in a JWK Set.

    Attributes:
        error: why none of its keys can verify tokens; None: one can.
        unusable: keys beside those that can, with the reason of each; empty: there are none that should.
    """

    error: str | None = None
    unusable: str = ""


class PatternFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found in a regular expression.

    Attributes:
        error: why it cannot be used; None for good ones.
        size: bytes that it takes once it is compiled.
    """

    error: str | None = None
    size: int = 0


CheckPattern = Callable[[str], PatternFacts]
#: Takes a pattern and what stands in its place.
CheckSubstitution = Callable[[str, str], "str | None"]
CheckCertificate = Callable[[bytes, bytes], CertificateFacts]
CheckTrust = Callable[[bytes], "str | None"]
CheckUsers = Callable[[str], UsersFacts]
#: Of an expression, and of what it is to come to: `condition`, `number`, `key`, `text`.
CheckExpression = Callable[[str, str], "str | None"]
CheckKeySet = Callable[[str], KeySetFacts]


def accept_pattern(_pattern: str) -> PatternFacts:
    """Accept every pattern: the engine looks at it again."""
    return PatternFacts()


def accept_substitution(_pattern: str, _replacement: str) -> str | None:
    """Accept every one: the engine looks at it again."""
    return None


def accept_expression(_text: str, _wanted: str) -> str | None:
    """Accept every expression: the engine looks at it again."""
    return None


def certificate_shape(chain: bytes, key: bytes) -> CertificateFacts:
    """Look for the PEM blocks of certificates and of a key."""
    try:
        if not certificates(pem_text(chain)):
            return CertificateFacts(error="tls.crt holds no PEM certificate")
    except PemError as error:
        return CertificateFacts(error=f"tls.crt: {error}")
    try:
        if not any(block.label.endswith("PRIVATE KEY") for block in blocks(pem_text(key))):
            return CertificateFacts(error="tls.key holds no PEM private key")
    except PemError as error:
        return CertificateFacts(error=f"tls.key: {error}")
    return CertificateFacts()


def trust_shape(pem: bytes) -> str | None:
    """Look for the PEM blocks of certificates."""
    try:
        return None if certificates(pem_text(pem)) else "it holds no PEM certificate"
    except PemError as error:
        return str(error)


def users_shape(file: str) -> UsersFacts:
    """Look for a user."""
    lines = [line for line in file.splitlines() if line and not line.startswith("#")]
    error = "a line is user:hash" if any(":" not in line for line in lines) else None
    return UsersFacts(error=error if lines else "there is no user in it")


def key_set_shape(text: str) -> KeySetFacts:
    """Look for keys: the engine looks at them again."""
    return KeySetFacts(error=None if '"kty"' in text else "no keys")


@dataclass(frozen=True, slots=True)
class Checks:
    """Looks into values that only native code understands.

    Attributes:
        pattern: facts about a regular expression (RE2 syntax).
        substitution: why a pattern that is searched for, or what stands in its place, cannot be used, or None.
        certificate: facts about a chain and its key, both PEM.
        trust: why a PEM bundle of CA certificates cannot be used, or None.
        users: facts about an htpasswd file.
        expression: why a text is no expression of a policy, or None.
        key_set: facts about a JWK Set.
    """

    pattern: CheckPattern = accept_pattern
    substitution: CheckSubstitution = accept_substitution
    certificate: CheckCertificate = certificate_shape
    trust: CheckTrust = trust_shape
    users: CheckUsers = users_shape
    expression: CheckExpression = accept_expression
    key_set: CheckKeySet = key_set_shape


@dataclass(frozen=True, slots=True)
class RouteLimits:
    """What routes may cost a data plane; stops the owner of one namespace from taking the memory of all.

    Attributes:
        expressions, namespace_expressions: bytes of the compiled regular expressions of one route, and of those of all
            routes of a namespace. A usual expression takes 3,000 to 10,000.
        places, namespace_places: listeners x hostnames x matches, each an entry of a table: the largest route that
            there can be (16 hostnames, 128 matches) on all 64 listeners of a Gateway, and four of these.
    """

    expressions: int = 2 * 1024 * 1024
    namespace_expressions: int = 16 * 1024 * 1024
    places: int = 64 * 16 * 128
    namespace_places: int = 4 * 64 * 16 * 128


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of the translator.

    Attributes:
        port_offset: added to each listener's port to get the port that is bound.
        listen: addresses to bind instead of those that Gateways ask for; empty: as they ask.
        implicit_class: accept a class named `sluicegate` when no GatewayClass of this controller is given.
        implicit_namespaces: a namespace that is not given exists, with its name as the usual label.
        keep_served: a Gateway that is served goes on being served where its class is gone, until the process ends.
            Provisioned data planes need no such memory: their Services show what was served, after a restart too.
        certificate_grace: seconds for which a certificate that serves goes on serving after its Secret is gone.
        merge_gateways: all Gateways share the sockets of one engine, so their listeners can conflict.
        pool: addresses for Gateways that name none, in normal form; empty: these bind all addresses.
        status_addresses: what Gateways report as their addresses where they bind all of them.
        checks: see `Checks`.
        routes: what routes may cost.
        external_names: Services of type ExternalName lead to their hosts. Off: whoever may write a Service could send
            the gateway to any host (CVE-2021-25740).
        backends: where programs of Services listen, in place of EndpointSlices: by namespace, name and port of the
            Service (0: every port) addresses and ports. None: nobody can say that, as in a cluster.
        self_signed: makes a certificate and its key, PEM, for names; where the Secret of a listener is not there, it is
            served with that. None: it is not served.
        now: seconds since 1970, for certificates that expired; None: do not look.
        provision: Gateways have data planes of their own; None: this process serves them all.
    """

    port_offset: int = 0
    listen: tuple[str, ...] = ()
    implicit_class: bool = True
    implicit_namespaces: bool = True
    keep_served: bool = False
    certificate_grace: float = 0.0
    merge_gateways: bool = True
    pool: tuple[str, ...] = ()
    status_addresses: tuple[str, ...] = ()
    checks: Checks = field(default_factory=Checks)
    routes: RouteLimits = field(default_factory=RouteLimits)
    external_names: bool = False
    backends: Mapping[tuple[str, str, int], tuple[tuple[str, int], ...]] | None = None
    self_signed: Callable[[tuple[str, ...]], tuple[str, str]] | None = None
    now: float | None = None
    provision: ProvisionOptions | None = None
