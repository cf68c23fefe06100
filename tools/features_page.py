"""Write `docs/reference/features.md`: features that a class publishes, and every field of the Gateway API.

Whether a field is read is what the structs of `controller/api` say, whose shapes are walked beside the schemas of the
API. What is read and means less than the API says has a note here, and so has what is not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml
from msgspec import inspect

from sluicegate.controller.api.kinds import TABLE
from sluicegate.controller.translate.features import supported_features
from sluicegate.controller.translate.filters import FILTERS
from sluicegate.schema.catalog import catalog

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "features.md"
REPORTS = ROOT / "tests" / "conformance" / "reports"

#: Routes attach by what they name: GEP-3793 is not done.
_DEFAULT_GATEWAYS = "no: routes attach by `parentRefs` alone, and it is told (`unsupported-field`)"
_PROVISIONED = "where data planes are provisioned; `serve` and `node` make no objects"
#: By kind and field: what is said in place of "yes". "no" begins what is said of a field that is not honoured.
NOTES: dict[tuple[str, str], str] = {
    ("GatewayClass", "description"): "no: it is for people",
    ("Gateway", "addresses[].type"): "`IPAddress`; others are `UnsupportedAddress`",
    ("Gateway", "addresses[].routability"): f"`Cluster`, {_PROVISIONED}",
    ("Gateway", "infrastructure"): _PROVISIONED,
    ("Gateway", "defaultScope"): _DEFAULT_GATEWAYS,
    ("Gateway", "listeners[].tls.options"): "`sluicegate.dev/client-validation` ([l4](../l4.md)); others are told",
    ("Gateway", "listeners[].filters"): "ExternalAuth and filters of ours ([extensions](../extensions.md))",
    ("Gateway", "tls.frontend"): "HTTPS listeners; TLS listeners where an option asks for it ([l4](../l4.md))",
    ("ListenerSet", "listeners[].filters"): "as of a Gateway",
    ("HTTPRoute", "rules[].filters[].extensionRef"): "[HTTPFilter](../policies/HTTPFilter.md)",
    ("GRPCRoute", "rules[].filters[].extensionRef"): "[HTTPFilter](../policies/HTTPFilter.md)",
    ("HTTPRoute", "rules[].retry"): "requests that may be sent twice ([errors](../errors.md))",
    ("XBackend", "type"): "`ExternalHostname`",
    ("XBackend", "endpointSelector"): "no: a backend of this type is refused",
    ("XBackend", "sessionPersistence"): "no: told (`unsupported-field`); an XBackendTrafficPolicy has it",
    **{
        (kind, "useDefaultGateways"): _DEFAULT_GATEWAYS
        for kind in ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute")
    },
    **{
        ("HTTPRoute", f"rules[].backendRefs[].filters[].{item.field}"): "no: refused; use it in the rule"
        for item in FILTERS.values()
        if not item.in_backends
    },
}
#: Features that are the core of a profile, which reports do not list.
CORE = frozenset({"GRPCRoute", "Gateway", "HTTPRoute", "ReferenceGrant", "TLSRoute"})

_HEAD = """\
# Supported features

What a GatewayClass publishes (`status.supportedFeatures`) and a conformance suite goes by, and every field of the
Gateway API's `spec`s ({source}).

This page is written by `python tools/features_page.py` from the code, the schemas of the API and the conformance
reports.

## Features

Where the report of a version has a feature: "core", or the profiles whose extended tests were run for it; "-" where
that version does not have it, or has no test for it in these profiles. Nothing was skipped
([conformance](../project/conformance.md)).

| feature | published by | {versions} |
|---|---|{columns}
"""
_FIELDS = """
## {kind}

`{group}`, {versions}: {reads}.

| field | values | honoured |
|---|---|---|
"""


class Field(NamedTuple):
    """A field of the API.

    Attributes:
        path: below `spec`.
        schema: of the API.
        read: whether the gateway reads it.
    """

    path: str
    schema: dict[str, Any]
    read: bool


def page() -> str:
    """The page as it should be."""
    reports = sorted(path.name for path in REPORTS.glob("v*"))
    entries = catalog()
    kinds = [kind for kind in TABLE if kind.struct and "gateway.networking" in kind.group]
    source = entries[kinds[0].api_versions[0], kinds[0].name].source
    head = _HEAD.format(source=source, versions=" | ".join(reports), columns="---|" * len(reports))
    parts = [head, *_features(reports)]
    for kind in kinds:
        rows = fields(kind.name)
        lost = [(kind.name, field.path) for field in rows if not field.read and (kind.name, field.path) not in NOTES]
        if lost:
            raise ValueError(f"not read, and NOTES do not say why: {lost}")
        parts.append(
            _FIELDS.format(kind=kind.name, group=kind.group, versions=", ".join(kind.versions), reads=kind.reads)
        )
        refused: list[str] = []
        for field in rows:
            if not field.path.startswith(tuple(refused)):
                note = NOTES.get((kind.name, field.path), "yes")
                parts.append(f"| `{field.path}` | {_values(field.schema)} | {note} |\n")
                refused += [f"{field.path}."] if note.startswith("no") else []
    return "".join(parts)


def _features(reports: list[str]) -> Iterator[str]:
    by_serve = {item.name for item in supported_features(provisioned=False)}
    found = {version: _profiles(version) for version in reports}
    for item in supported_features(provisioned=True):
        by = "all" if item.name in by_serve else "the controller"
        cells = ["core" if item.name in CORE else found[version].get(item.name, "-") for version in reports]
        yield f"| `{item.name}` | {by} | {' | '.join(cells)} |\n"


def _profiles(version: str) -> dict[str, str]:
    """Profiles that have a feature among their extended ones, in the report of a version."""
    [path] = (REPORTS / version / "sluicegate").glob("*.yaml")
    found: dict[str, list[str]] = {}
    for profile in yaml.safe_load(path.read_text())["profiles"]:
        for name in profile["extended"].get("supportedFeatures", ()):
            found.setdefault(name, []).append(profile["name"].removeprefix("GATEWAY-"))
    return {name: ", ".join(sorted(profiles)) for name, profiles in found.items()}


def fields(name: str) -> list[Field]:
    """Every field of a kind's `spec`, in the order of the API."""
    kind = next(item for item in TABLE if item.name == name)
    assert kind.struct is not None
    schema = catalog()[kind.api_versions[0], name].schema["properties"]["spec"]
    struct = msgspec.inspect.type_info(kind.struct)
    assert isinstance(struct, inspect.StructType)
    return list(_below("", schema, next(item.type for item in struct.fields if item.encode_name == "spec")))


def _below(path: str, schema: dict[str, Any], kind: inspect.Type) -> Iterator[Field]:
    kind = _given(kind)
    if schema.get("type") == "array":
        yield from _below(f"{path}[]", schema["items"], getattr(kind, "item_type", kind))
        return
    read = {item.encode_name: item.type for item in kind.fields} if isinstance(kind, inspect.StructType) else {}
    for name, item in schema.get("properties", {}).items():
        place = f"{path}.{name}" if path else name
        yield Field(place, item, name in read)
        if name in read:
            yield from _below(place, item, read[name])


def _given(kind: inspect.Type) -> inspect.Type:
    """A type without the None beside it."""
    if isinstance(kind, inspect.UnionType):
        [kind] = [item for item in kind.types if not isinstance(item, inspect.NoneType)]
    return kind


def _values(schema: dict[str, Any]) -> str:
    enum = [str(value) for value in schema.get("enum", ()) if value != ""]
    said = ", ".join(f"`{value}`" for value in enum) or str(schema.get("type", ""))
    said += f", up to {schema['maxItems']}" if "maxItems" in schema else ""
    default = schema.get("default")
    return said if default in (None, "") or isinstance(default, dict | list) else f"{said} (`{default}`)"


if __name__ == "__main__":
    PAGE.write_text(page())
