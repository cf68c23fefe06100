"""Documents to objects: `decode`.

A document is what a YAML parser or the API server gives: dictionaries, lists and scalars. It is never changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from sluicegate.words import kind_of, placed, shown

from .core import Document
from .kind import Kind
from .kinds import BY_NAME
from .meta import CLUSTER, Object, ObjectKey, ObjectMeta, Origin
from .names import is_label, is_name, is_subdomain

DEFAULT_NAMESPACE = "default"
#: Where `kubectl apply` keeps the whole object once more.
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

#: As msgspec writes an entry of a mapping, whichever it is.
_ANY_KEY = "[...]"

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


def decode(document: Document, origin: Origin = CLUSTER, kinds: Mapping[str, Kind] = BY_NAME) -> Object:
    """Read one document.

    Args:
        document: a parsed object, with `apiVersion` and `kind`.
        origin: where it came from.
        kinds: those that are read, by name.

    Raises:
        DecodeError: unknown kind or version, a missing or wrongly typed field, or no name.
    """
    if not isinstance(document, dict):
        raise DecodeError("", f"an object is expected, not a {kind_of(document)}")
    kind = document.get("kind")
    row = kinds.get(kind) if isinstance(kind, str) else None
    if not isinstance(kind, str) or row is None or row.struct is None:
        raise DecodeError("kind", f"{shown(kind)} is not a kind that the gateway reads")
    version = document.get("apiVersion")
    if version not in row.api_versions:
        known = ", ".join(row.api_versions)
        raise DecodeError("apiVersion", f"{shown(version)} is not read for {kind}; use {known}")
    decoded = _convert(document, row.struct)
    meta = decoded.metadata
    meta.annotations.pop(LAST_APPLIED, None)
    _check_names(row, meta)
    namespace = meta.namespace or DEFAULT_NAMESPACE if row.namespaced else ""
    # The struct is ours alone until it is returned; a copy for each object would double the cost of decoding.
    msgspec.structs.force_setattr(decoded, "key", ObjectKey(kind, namespace, meta.name))
    msgspec.structs.force_setattr(decoded, "origin", origin)
    return decoded


def _check_names(row: Kind, meta: ObjectMeta) -> None:
    """Refuse names that are none: ids are made of them. What a cluster takes of subdomains is its own business."""
    if not meta.name:
        raise DecodeError("metadata.name", "a name is required")
    if row.naming == "signer":
        if not is_name(meta.name, "signer"):
            raise DecodeError("metadata.name", f"{meta.name!r} is not a name, with a signer's name before it or not")
    elif not is_subdomain(meta.name):
        raise DecodeError("metadata.name", f"{meta.name!r} is not a name: lower-case letters, digits, - and . only")
    if meta.namespace and not is_label(meta.namespace):
        raise DecodeError("metadata.namespace", f"{meta.namespace!r} is not a namespace: lower-case letters, digits, -")


def _convert(document: Document, struct: type[Object]) -> Object:
    decoded = None
    for tried in (_as_written, _without_nulls, _without_status):
        document = tried(document)
        try:
            decoded = msgspec.convert(document, struct)
            break
        except msgspec.ValidationError as error:
            if "got `null`" not in str(error) and " - at `$.status" not in str(error):
                raise _decode_error(error, document) from None
            last = error
        except RecursionError:
            raise DecodeError("", "nested too deep") from None
    if decoded is None:
        raise _decode_error(last, document) from None
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


def _as_written(document: Document) -> Document:
    return document


def _without_nulls(document: Document) -> Document:
    """As the API server has it, which drops nulls of fields that are not nullable."""
    return {key: _less(item) for key, item in document.items() if item is not None}


def _less(value: Any) -> Any:  # noqa: ANN401 (any YAML)
    if isinstance(value, dict):
        return _without_nulls(value)
    return [_less(item) for item in value] if isinstance(value, list) else value


def _without_status(document: Document) -> Document:
    """A status is what programs say of an object, and no reason to refuse what people say in it."""
    return {name: value for name, value in document.items() if name != "status"}


def _decode_error(error: msgspec.ValidationError, document: Document) -> DecodeError:
    """The same error with the field as people write it."""
    field, reason = placed(str(error))
    if field.endswith(_ANY_KEY):
        return _entry_error(field.removesuffix(_ANY_KEY), reason, document)
    return DecodeError(field, reason)


def _entry_error(field: str, reason: str, document: Any) -> DecodeError:  # noqa: ANN401 (any YAML)
    """The error of an entry of a mapping of texts by its key: an annotation whose quotes were forgotten."""
    mapping = document
    for name in field.split("."):
        mapping = mapping.get(name) if isinstance(mapping, dict) else None
    entries = mapping.items() if isinstance(mapping, dict) else ()
    key, value = next(((key, value) for key, value in entries if not isinstance(value, str)), ("", None))
    if not key:
        return DecodeError(field, reason)
    remedy = f': put it in quotes: "{json.dumps(value)}"' if isinstance(value, bool | int | float) else ""
    return DecodeError(f'{field}["{key}"]', f"{reason}{remedy}")
