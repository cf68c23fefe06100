"""JSON Schemas of every `--output json`, made of the structs that are written; published in `docs/schemas`.

The number of a version changes where a field is taken away or means something else, not where one is added: who reads
them must leave fields alone that they do not know.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, get_args

import msgspec

from sluicegate import ir
from sluicegate.controller.translate import (
    GatewayClassStatus,
    GatewayStatus,
    ListenerSetStatus,
    PolicyStatus,
    RouteStatus,
)
from sluicegate.processes.serve.lines import Changed, Ready
from sluicegate.testing.decision import Decision

from .check import CheckReport
from .diff_report import DiffReport
from .explanation import Explanation
from .init import InitReport
from .migration_report import MigrationReport
from .page.facts import ApiAnswer
from .status_report import StatusReport
from .top_figures import TopReport
from .version import VersionReport

VERSION = "v1"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
#: Where they are published: below this, by name.
BASE = f"https://sluicegate.dev/schemas/{VERSION}"

Schema = dict[str, Any]
_REFERENCE = "#/$defs/{name}"
_STATUSES = (GatewayClassStatus, GatewayStatus, ListenerSetStatus, RouteStatus, PolicyStatus)


def _of(kind: type) -> Schema:
    (schema,), definitions = msgspec.json.schema_components((kind,), ref_template=_REFERENCE)
    return {**schema, "$defs": definitions}


def _check() -> Schema:
    schema = _of(CheckReport)
    found, definitions = msgspec.json.schema_components(_STATUSES, ref_template=_REFERENCE)
    schema["$defs"] |= definitions
    schema["$defs"]["CheckedObject"]["properties"]["status"] = {"anyOf": list(found)}
    return schema


def _status() -> Schema:
    found, definitions = msgspec.json.schema_components(_STATUSES, ref_template=_REFERENCE)
    return {"anyOf": list(found), "$defs": definitions}


def _serve() -> Schema:
    """A line of `serve`: `ready`, `changed`, or another event."""
    _, definitions = msgspec.json.schema_components((Ready, Changed), ref_template=_REFERENCE)
    time = {"type": "string", "description": "when it was written, UTC, such as 2026-01-01T00:00:00Z"}
    for name, event in (("Ready", "ready"), ("Changed", "changed")):
        definition = definitions[name]
        definition["properties"] = {"event": {"const": event}, "time": time} | definition["properties"]
        definition["required"] = ["event", "time", *definition["required"]]
    definitions["Event"] = {
        "title": "Event",
        "description": "Any other line; what it has besides depends on the event.",
        "type": "object",
        "properties": {
            "event": {"type": "string", "not": {"enum": ["ready", "changed"]}, "description": "what happened"},
            "time": time,
            "code": {"type": "string", "description": "of a warning or an error: a word for programs"},
            "message": {"type": "string", "description": "for people"},
        },
        "required": ["event", "time"],
        "additionalProperties": True,
    }
    return {
        "anyOf": [{"$ref": _REFERENCE.format(name=name)} for name in ("Ready", "Changed", "Event")],
        "$defs": definitions,
    }


def _api() -> Schema:
    """Everything that `/api/v1` answers; `/api/v1/explain` answers what `explain` writes."""
    found, definitions = msgspec.json.schema_components(get_args(ApiAnswer), ref_template=_REFERENCE)
    return {"anyOf": list(found), "$defs": definitions}


#: By name: what it describes, and how it is made.
SCHEMAS: dict[str, tuple[str, Callable[[], Schema]]] = {
    "api": ("`/api/v1` of the admin listener ([page.md](../page.md))", _api),
    "check": ("`sluicegate check --output json`", _check),
    "explain": ("`sluicegate explain --output json`", lambda: _of(Explanation)),
    "diff": ("`sluicegate diff --output json`", lambda: _of(DiffReport)),
    "decision": ("a `Decision` of the library, and the one within `explain`", lambda: _of(Decision)),
    "translate": (
        "`sluicegate translate --output json`: the IR, with a `version` of its own",
        lambda: _of(ir.Transaction),
    ),
    "migrate": ("`sluicegate migrate --output json`", lambda: _of(MigrationReport)),
    "serve": ("each line of `sluicegate serve --output json`", _serve),
    "status": ("a status as the controller writes it: `objects[].status` of `check`", _status),
    "status-report": ("`sluicegate status --output json`", lambda: _of(StatusReport)),
    "top": ("each line of `sluicegate top --output json`", lambda: _of(TopReport)),
    "init": ("`sluicegate init --output json`", lambda: _of(InitReport)),
    "version": ("`sluicegate version --output json`", lambda: _of(VersionReport)),
}


def schema(name: str) -> Schema:
    """The schema of one output, one of `SCHEMAS`."""
    title, make = SCHEMAS[name]
    made = make()
    definitions = {key: _without_names(_described(item)) for key, item in sorted(made.pop("$defs").items())}
    return {"$schema": DIALECT, "$id": f"{BASE}/{name}.json", "title": title, **made, "$defs": definitions}


def _without_names(part: Any) -> Any:  # noqa: ANN401 (any part of a schema)
    """Without what only newer releases of msgspec say of the keys of mappings: the schema is one for all of them."""
    if isinstance(part, dict):
        return {key: _without_names(value) for key, value in part.items() if key != "propertyNames"}
    return [_without_names(item) for item in part] if isinstance(part, list) else part


def _described(definition: Schema) -> Schema:
    """A definition with what its docstring says: of itself in a line, of each attribute at the attribute."""
    text = inspect.cleandoc(definition.get("description", ""))
    first, _, attributes = text.partition("Attributes:\n")
    if first:
        definition["description"] = " ".join(first.split())
    for found in re.finditer(r"^ {4}([\w, ]+): ((?:.+\n?)(?:^ {8}.+\n?)*)", attributes, re.MULTILINE):
        for name in found[1].split(", "):
            if name in definition.get("properties", {}):
                described = definition["properties"][name]
                definition["properties"][name] = {"description": " ".join(found[2].split()), **described}
    return definition
