"""Every type of condition and every reason that this controller writes, of all kinds. Nothing else spells one.

The words are those of the Gateway API (`gateway_types.go`, `shared_types.go`, `policy_types.go`, ... of v1.7.0) and of
the GEPs named; those that it has no word for are ours and say so.
"""

from __future__ import annotations

import enum

#: Domain of the types that are ours.
DOMAIN = "sluicegate.dev"


class ConditionType(enum.StrEnum):
    """`conditions[].type`; what policies are attached to has one more for each kind (`affected_type`)."""

    ACCEPTED = "Accepted"
    PROGRAMMED = "Programmed"
    RESOLVED_REFS = "ResolvedRefs"
    #: GatewayClass.
    SUPPORTED_VERSION = "SupportedVersion"
    #: Gateway.
    INSECURE_FRONTEND_VALIDATION_MODE = "InsecureFrontendValidationMode"
    #: Gateway: policies hold for it in whose status it has no place (GEP-713: "signal on the ancestor").
    POLICY_LIMIT_REACHED = "sluicegate.dev/PolicyLimitReached"
    #: Policies; ours: it is there only where the keys of an identity provider cannot be fetched.
    PROVIDER_KEYS_UNAVAILABLE = "sluicegate.dev/ProviderKeysUnavailable"
    #: Listeners.
    CONFLICTED = "Conflicted"
    OVERLAPPING_TLS_CONFIG = "OverlappingTLSConfig"
    #: Routes.
    PARTIALLY_INVALID = "PartiallyInvalid"


def affected_type(kind: str) -> str:
    """Type of the condition that policies of a kind are attached to an object (GEP-713)."""
    return f"{DOMAIN}/{kind}Affected"


class Reason(enum.StrEnum):
    """`conditions[].reason`."""

    # Of several kinds.
    ACCEPTED = "Accepted"
    INVALID = "Invalid"
    INVALID_KIND = "InvalidKind"
    INVALID_PARAMETERS = "InvalidParameters"
    PENDING = "Pending"
    PROGRAMMED = "Programmed"
    REF_NOT_PERMITTED = "RefNotPermitted"
    RESOLVED_REFS = "ResolvedRefs"
    UNSUPPORTED_VALUE = "UnsupportedValue"
    #: What the API server's defaults say before a controller came by.

    # GatewayClass.
    SUPPORTED_VERSION = "SupportedVersion"
    UNSUPPORTED_VERSION = "UnsupportedVersion"

    # Gateway and ListenerSet.
    ADDRESS_NOT_ASSIGNED = "AddressNotAssigned"
    ADDRESS_NOT_USABLE = "AddressNotUsable"
    CONFIGURATION_CHANGED = "ConfigurationChanged"
    #: Ours: the class of a Gateway that is served is gone.
    GATEWAY_CLASS_NOT_FOUND = "GatewayClassNotFound"
    INVALID_CLIENT_CERTIFICATE_REF = "InvalidClientCertificateRef"
    LISTENERS_NOT_RESOLVED = "ListenersNotResolved"
    LISTENERS_NOT_VALID = "ListenersNotValid"
    NOT_ALLOWED = "NotAllowed"
    NO_RESOURCES = "NoResources"
    PARENT_NOT_ACCEPTED = "ParentNotAccepted"
    PARENT_NOT_PROGRAMMED = "ParentNotProgrammed"
    UNSUPPORTED_ADDRESS = "UnsupportedAddress"

    # Listeners.
    HOSTNAME_CONFLICT = "HostnameConflict"
    INVALID_CA_CERTIFICATE_KIND = "InvalidCACertificateKind"
    INVALID_CA_CERTIFICATE_REF = "InvalidCACertificateRef"
    INVALID_CERTIFICATE_REF = "InvalidCertificateRef"
    #: GEP-5224, as the next two.
    INVALID_LISTENER_FILTER = "InvalidListenerFilter"
    INVALID_LISTENER_FILTER_ORDER = "InvalidListenerFilterOrder"
    INVALID_LISTENER_FILTER_REF = "InvalidListenerFilterRef"
    INVALID_ROUTE_KINDS = "InvalidRouteKinds"
    NO_CONFLICTS = "NoConflicts"
    NO_VALID_CA_CERTIFICATE = "NoValidCACertificate"
    OVERLAPPING_HOSTNAMES = "OverlappingHostnames"
    PORT_UNAVAILABLE = "PortUnavailable"
    PROTOCOL_CONFLICT = "ProtocolConflict"
    UNSUPPORTED_PROTOCOL = "UnsupportedProtocol"

    # Routes.
    BACKEND_NOT_FOUND = "BackendNotFound"
    #: Ours: the policy of a backend, or an XBackend itself, cannot be honoured, so its share is answered 500.
    INVALID_BACKEND_TLS_POLICY = "InvalidBackendTLSPolicy"
    INVALID_BACKEND_POLICY = "InvalidBackendPolicy"
    INVALID_BACKEND = "InvalidBackend"
    INCOMPATIBLE_FILTERS = "IncompatibleFilters"
    NOT_ALLOWED_BY_LISTENERS = "NotAllowedByListeners"
    NO_MATCHING_LISTENER_HOSTNAME = "NoMatchingListenerHostname"
    NO_MATCHING_PARENT = "NoMatchingParent"

    # Policies (GEP-713).
    AFFECTED = "Affected"
    #: Ours.
    ANCESTOR_LIMIT_REACHED = "AncestorLimitReached"
    CONFLICTED = "Conflicted"
    #: Ours: something that a policy refers to is not there, or is not what it should be.
    INVALID_REF = "InvalidRef"
    #: Ours: an identity provider is away, and its last keys are used.
    KEYS_OUT_OF_DATE = "KeysOutOfDate"
    #: Ours: there are no keys of an identity provider that could be used.
    NO_KEYS = "NoKeys"
    OVERRIDDEN = "Overridden"
    PARTIALLY_PROGRAMMED = "PartiallyProgrammed"
    #: Ours, as `InvalidRef`.
    SECRET_INVALID = "SecretInvalid"  # noqa: S105 a word, no secret
    TARGET_NOT_FOUND = "TargetNotFound"
