"""XBackend (`gateway.networking.x-k8s.io/v1alpha1`, GEP-4731): a host outside the cluster."""

from __future__ import annotations

from .gateway import SecretReference
from .meta import Model, Object
from .policy import BackendTLSPolicyValidation
from .route import SessionPersistence


class ExternalHostname(Model, frozen=True, kw_only=True):
    """`spec.externalHostname`."""

    hostname: str


class ExternalPort(Model, frozen=True, kw_only=True):
    """`spec.port`."""

    number: int | None = None


class ExternalTls(Model, frozen=True, kw_only=True):
    """`spec.tls`."""

    mode: str = "None"
    client_certificate_ref: SecretReference | None = None
    validation: BackendTLSPolicyValidation | None = None


class XBackendSpec(Model, frozen=True, kw_only=True):
    """`XBackend.spec`. `session_persistence` is read to be told: an XBackendTrafficPolicy has what holds."""

    type: str
    port: ExternalPort = ExternalPort()
    external_hostname: ExternalHostname | None = None
    protocol: str = ""
    tls: ExternalTls = ExternalTls()
    session_persistence: SessionPersistence | None = None


class XBackend(Object, frozen=True, kw_only=True):
    """Where and how requests go that leave the cluster."""

    spec: XBackendSpec
