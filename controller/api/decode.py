"""Documents to objects: `decode`, and the table of what is read.

A document is what a YAML parser or the API server gives: dictionaries, lists and scalars. It is never changed.
"""

from __future__ import annotations

import re

import msgspec

from ..words import placed
from .core import (
    ClusterTrustBundle,
    ConfigMap,
    CustomResourceDefinition,
    Document,
    EndpointSlice,
    Namespace,
    Node,
    Secret,
    Service,
)
from .extension import API_VERSION as EXTENSION_VERSION
from .extension import RequestHeaderFilter
from .gateway import Gateway, GatewayClass, ListenerSet
from .grpc_route import GRPCRoute
from .l4_route import TCPRoute, TLSRoute, UDPRoute
from .meta import CLUSTER, GATEWAY_GROUP, Object, ObjectKey, ObjectMeta, Origin
from .parameters import GROUP as PARAMETERS_GROUP
from .parameters import GatewayParameters
from .policy import BackendTLSPolicy, ReferenceGrant
from .route import HTTPRoute

#: Every kind that is read, by its struct.
KINDS: dict[str, type[Object]] = {
    "GatewayClass": GatewayClass,
    "Gateway": Gateway,
    "ListenerSet": ListenerSet,
    "HTTPRoute": HTTPRoute,
    "GRPCRoute": GRPCRoute,
    "TLSRoute": TLSRoute,
    "TCPRoute": TCPRoute,
    "UDPRoute": UDPRoute,
    "ReferenceGrant": ReferenceGrant,
    "BackendTLSPolicy": BackendTLSPolicy,
    "Namespace": Namespace,
    "Node": Node,
    "Service": Service,
    "EndpointSlice": EndpointSlice,
    "Secret": Secret,
    "ConfigMap": ConfigMap,
    "GatewayParameters": GatewayParameters,
    "RequestHeaderFilter": RequestHeaderFilter,
    "ClusterTrustBundle": ClusterTrustBundle,
    "CustomResourceDefinition": CustomResourceDefinition,
}

#: Kinds that are only read where there is a cluster: in files they are other programs' business.
CLUSTER_ONLY = frozenset({"CustomResourceDefinition"})

#: The versions that are read, by kind. All versions of a kind have one shape as far as it is read.
API_VERSIONS: dict[str, frozenset[str]] = {
    "GatewayClass": frozenset({f"{GATEWAY_GROUP}/v1", f"{GATEWAY_GROUP}/v1beta1"}),
    "Gateway": frozenset({f"{GATEWAY_GROUP}/v1", f"{GATEWAY_GROUP}/v1beta1"}),
    "ListenerSet": frozenset({f"{GATEWAY_GROUP}/v1"}),
    "HTTPRoute": frozenset({f"{GATEWAY_GROUP}/v1", f"{GATEWAY_GROUP}/v1beta1"}),
    "GRPCRoute": frozenset({f"{GATEWAY_GROUP}/v1", f"{GATEWAY_GROUP}/v1alpha2"}),
    "TLSRoute": frozenset({f"{GATEWAY_GROUP}/v1", f"{GATEWAY_GROUP}/v1alpha3", f"{GATEWAY_GROUP}/v1alpha2"}),
    "TCPRoute": frozenset({f"{GATEWAY_GROUP}/v1", f"{GATEWAY_GROUP}/v1alpha2"}),
    "UDPRoute": frozenset({f"{GATEWAY_GROUP}/v1", f"{GATEWAY_GROUP}/v1alpha2"}),
    "ReferenceGrant": frozenset({f"{GATEWAY_GROUP}/v1", f"{GATEWAY_GROUP}/v1beta1"}),
    "BackendTLSPolicy": frozenset({f"{GATEWAY_GROUP}/v1", f"{GATEWAY_GROUP}/v1alpha3"}),
    "Namespace": frozenset({"v1"}),
    "Node": frozenset({"v1"}),
    "Service": frozenset({"v1"}),
    "EndpointSlice": frozenset({"discovery.k8s.io/v1"}),
    "Secret": frozenset({"v1"}),
    "ConfigMap": frozenset({"v1"}),
    "GatewayParameters": frozenset({f"{PARAMETERS_GROUP}/v1alpha1"}),
    "RequestHeaderFilter": frozenset({EXTENSION_VERSION}),
    "CustomResourceDefinition": frozenset({"apiextensions.k8s.io/v1"}),
    "ClusterTrustBundle": frozenset(f"certificates.k8s.io/{version}" for version in ("v1", "v1beta1", "v1alpha1")),
}

#: Kinds of routes; `translate.kinds` says what each is.
ROUTE_KINDS = ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute")

CLUSTER_SCOPED = frozenset({"GatewayClass", "Namespace", "Node", "ClusterTrustBundle", "CustomResourceDefinition"})
DEFAULT_NAMESPACE = "default"
#: Where `kubectl apply` keeps the whole object once more.
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
MAX_NAME_LENGTH = 253
MAX_NAMESPACE_LENGTH = 63

_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
_ENCODER = msgspec.msgpack.Encoder()


class DecodeError(ValueError):
    """A document that cannot be read.

    Attributes:
        field: path in the document, such as `spec.listeners[0].port`; `kind` or `apiVersion` for an unknown one.
        reason: what is wrong with it.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason


def supported(document: Document) -> bool:
    """Whether the document is of a kind and version that the gateway reads."""
    kind, version = document.get("kind"), document.get("apiVersion")
    return isinstance(kind, str) and isinstance(version, str) and version in API_VERSIONS.get(kind, ())


def decode(document: Document, origin: Origin = CLUSTER) -> Object:
    """Read one document.

    Args:
        document: a parsed object, with `apiVersion` and `kind`.
        origin: where it came from.

    Raises:
        DecodeError: unknown kind or version, a missing or wrongly typed field, or no name.
    """
    if not isinstance(document, dict):
        raise DecodeError("", f"an object is expected, not a {type(document).__name__}")
    kind = document.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise DecodeError("kind", f"{kind!r} is not a kind that the gateway reads")
    version = document.get("apiVersion")
    if not isinstance(version, str) or version not in API_VERSIONS[kind]:
        known = ", ".join(sorted(API_VERSIONS[kind]))
        raise DecodeError("apiVersion", f"{version!r} is not read for {kind}; use {known}")
    decoded = _convert(document, KINDS[kind])
    meta = decoded.metadata
    meta.annotations.pop(LAST_APPLIED, None)
    _check_names(kind, meta)
    namespace = "" if kind in CLUSTER_SCOPED else meta.namespace or DEFAULT_NAMESPACE
    # The struct is ours alone until it is returned; a copy for each object would double the cost of decoding.
    msgspec.structs.force_setattr(decoded, "key", ObjectKey(kind, namespace, meta.name))
    msgspec.structs.force_setattr(decoded, "origin", origin)
    return decoded


def _check_names(kind: str, meta: ObjectMeta) -> None:
    """Refuse names that are none: ids are made of them (RFC 1123 subdomains and labels)."""
    if not meta.name:
        raise DecodeError("metadata.name", "a name is required")
    if kind == "ClusterTrustBundle":
        # The signer comes first, with `:` in place of `/`: `example.com:signer:name`.
        if len(meta.name) > MAX_NAME_LENGTH or not all(_NAME.fullmatch(part) for part in meta.name.split(":")):
            raise DecodeError("metadata.name", f"{meta.name!r} is not a name, with a signer's name before it or not")
        return
    if len(meta.name) > MAX_NAME_LENGTH or not _NAME.fullmatch(meta.name):
        raise DecodeError("metadata.name", f"{meta.name!r} is not a name: lower-case letters, digits, - and . only")
    if meta.namespace and (len(meta.namespace) > MAX_NAMESPACE_LENGTH or not _NAMESPACE.fullmatch(meta.namespace)):
        raise DecodeError("metadata.namespace", f"{meta.namespace!r} is not a namespace: lower-case letters, digits, -")


def _convert(document: Document, struct: type[Object]) -> Object:
    try:
        decoded = msgspec.convert(document, struct)
    except msgspec.ValidationError as error:
        if " - at `$.status" in str(error):
            # A status is what programs say of an object, and no reason to refuse what people say in it.
            return _convert({name: value for name, value in document.items() if name != "status"}, struct)
        if "got `null`" not in str(error):
            raise _decode_error(error) from None
    except RecursionError:
        raise DecodeError("", "nested too deep") from None
    else:
        _check_values(decoded)
        return decoded
    try:  # The API server drops nulls of fields that are not nullable.
        decoded = msgspec.convert(_without_nulls(document), struct)
    except msgspec.ValidationError as error:
        raise _decode_error(error) from None
    _check_values(decoded)
    return decoded


def _check_values(decoded: Object) -> None:
    """Refuse what an object can hold and a transaction cannot: one such value would spoil it whole.

    Half surrogate pairs: JSON can write them, UTF-8 cannot. Integers of more than 64 bits.
    """
    try:
        _ENCODER.encode(decoded)
    except (UnicodeEncodeError, OverflowError, RecursionError):
        field, reason = _unfit(msgspec.to_builtins(decoded), "") or ("", "it holds a value that cannot be written")
        raise DecodeError(field, reason) from None


def _unfit(value: object, field: str) -> tuple[str, str] | None:
    """The first value that cannot be encoded: its field and what is wrong."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            character = f"U+{ord(error.object[error.start]):04X}"
            return field, f"the text {value!r} holds {character}, which is no character"
    elif isinstance(value, int) and not -(2**63) <= value < 2**64:
        return field, f"an integer of {value.bit_length()} bits; at most 64 are allowed"
    elif isinstance(value, dict):
        for name, item in value.items():
            found = _unfit(name, field) or _unfit(item, f"{field}.{name}".lstrip("."))
            if found is not None:
                return found
    elif isinstance(value, (list, tuple)):
        return next((found for n, item in enumerate(value) if (found := _unfit(item, f"{field}[{n}]"))), None)
    return None


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _decode_error(error: msgspec.ValidationError) -> DecodeError:
    """The same error with the field as people write it."""
    return DecodeError(*placed(str(error)))
