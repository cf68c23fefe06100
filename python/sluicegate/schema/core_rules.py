"""What the API server asks of Kubernetes' own kinds beyond their types.

These rules are Go code there and in no schema. Source: `ValidateSecret`, `ValidateConfigMap` and `ValidateNamespace` of
`pkg/apis/core/validation`, `ValidateClusterTrustBundle` of `pkg/apis/certificates/validation`; Services and
EndpointSlices are in `core_network`. Messages never quote a Secret.
"""

from __future__ import annotations

import base64
import binascii
import bisect
import re
from collections.abc import Callable, Iterator
from typing import Any

from sluicegate.controller.api.names import is_key, is_subdomain

from .core_network import endpoint_slice, service
from .metadata import finalizer_rules

#: Field, message and remedy; see `Diagnostic`.
Said = tuple[str, str, str]

#: Of all values of a ConfigMap or a Secret together, in bytes.
MAX_DATA = 1024 * 1024
TLS_TYPE = "kubernetes.io/tls"
#: Type of a Secret: keys of which it needs all.
_KEYS = {
    TLS_TYPE: ("tls.crt", "tls.key"),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
}
#: What begins a block of PEM, and what ends one. Each is found in time that goes by the length of the text.
_BEGIN = re.compile(r"-----BEGIN ([^-\n]+)-----\s*\n")
_END = re.compile(r"-----END ([^-\n]+)(?=-----)")


def core_rules(document: dict[str, Any]) -> Iterator[Said]:
    """Say what rules of a kind of Kubernetes do not hold.

    Args:
        document: its structure already found to be right.
    """
    rules = _RULES.get(document["kind"])
    if rules is not None:
        yield from rules(document)


def _secret(body: dict[str, Any]) -> Iterator[Said]:
    found, texts = body.get("data", {}), body.get("stringData", {})
    yield from _base64("data", body)
    yield from _keys("data", found, {})
    yield from _keys("stringData", texts, {})
    for key in _KEYS.get(body.get("type", ""), ()):
        if key not in found and key not in texts:
            yield f'data["{key}"]', f"required: the Secret is of type {body['type']}", ""


def _config_map(body: dict[str, Any]) -> Iterator[Said]:
    yield from _base64("binaryData", body)
    texts, binary = body.get("data", {}), body.get("binaryData", {})
    yield from _keys("data", texts, binary)
    yield from _keys("binaryData", binary, {})


def _keys(field: str, values: dict[str, str], others: dict[str, str]) -> Iterator[Said]:
    for key in values:
        if not is_key(key):
            yield f'{field}["{key}"]', "no key: letters, digits, -, _ and ., at most 253", "give it another name"
        if key in others:
            yield f'{field}["{key}"]', "duplicate: it is in binaryData as well", "remove one of the two"
    if sum(len(value) for value in values.values()) > MAX_DATA * (4 / 3 if field.startswith("binary") else 1):
        yield field, f"more than {MAX_DATA:,} bytes in all", "split it"


def _base64(field: str, body: dict[str, Any]) -> Iterator[Said]:
    for key, text in body.get(field, {}).items():
        try:
            base64.b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError):
            remedy = "encode it, or move it to stringData" if field == "data" else "encode it, or move it to data"
            yield f'{field}["{key}"]', "not base64", remedy


def _namespace(body: dict[str, Any]) -> Iterator[Said]:
    yield from finalizer_rules("spec.finalizers", body.get("spec", {}).get("finalizers", []), custom=False)


def _trust_bundle(body: dict[str, Any]) -> Iterator[Said]:
    spec, name = body["spec"], str(body["metadata"].get("name", ""))
    signer = spec.get("signerName", "")
    if signer:
        domain, slash, path = signer.partition("/")
        if not (slash and path and "." in domain and is_subdomain(domain)):
            yield "spec.signerName", f"{signer!r} is no signer", "write a domain, / and a name: example.com/signer"
        prefix = f"{signer.replace('/', ':')}:"
        if not name.startswith(prefix):
            yield "metadata.name", f"the bundle of a signer has its name first: {prefix}", f"write {prefix}{name}"
    elif ":" in name:
        yield "metadata.name", "a bundle without a signer has no : in its name", "set spec.signerName"
    blocks = list(blocks_of(spec.get("trustBundle", "")))
    if not blocks:
        yield "spec.trustBundle", "no certificate in PEM", "it needs one at least"
    for index, (label, text) in enumerate(blocks):
        if label != "CERTIFICATE":
            yield "spec.trustBundle", f"block {index} is a {label}, not a CERTIFICATE", "remove it"
        else:
            yield from _authority(index, text)


def blocks_of(text: str) -> Iterator[tuple[str, str]]:
    """The blocks of a text in PEM: the label of each, and what stands in it. What does not end is none."""
    ends: dict[str, list[int]] = {}
    for found in _END.finditer(text):
        ends.setdefault(found[1], []).append(found.start())
    at = 0
    while (begin := _BEGIN.search(text, at)) is not None:
        places = ends.get(begin[1], [])
        place = bisect.bisect_left(places, begin.end())
        if place == len(places):
            # Not behind all of it: another one may begin with the dashes that end this one.
            at = begin.start() + 1
            continue
        yield begin[1], text[begin.end() : places[place]]
        at = places[place] + len(f"-----END {begin[1]}-----")


def _authority(index: int, text: str) -> Iterator[Said]:
    from cryptography import x509  # only where there is a bundle

    try:
        certificate = x509.load_der_x509_certificate(base64.b64decode("".join(text.split()), validate=True))
        authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        authority = False
    except (binascii.Error, ValueError):
        yield "spec.trustBundle", f"block {index} is no X.509 certificate", "write the certificate as it was issued"
        return
    if not authority:
        yield "spec.trustBundle", f"the certificate in block {index} is no CA", "write the CA that issued it"


_RULES: dict[str, Callable[[dict[str, Any]], Iterator[Said]]] = {
    "Service": service,
    "EndpointSlice": endpoint_slice,
    "Secret": _secret,
    "ConfigMap": _config_map,
    "Namespace": _namespace,
    "ClusterTrustBundle": _trust_bundle,
}
