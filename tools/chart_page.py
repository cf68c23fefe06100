"""Write the tables of the Helm chart's values: `deploy/chart/README.md` has one, `docs/reference/chart.md` another.

Defaults are those of `values.yaml`, descriptions and what is allowed those of `values.schema.json`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parents[1]
CHART = ROOT / "deploy" / "chart"
README = CHART / "README.md"
PAGE = ROOT / "docs" / "reference" / "chart.md"

_HEAD = """\
# Values of the Helm chart

    helm upgrade --install sluicegate deploy/chart --namespace sluicegate-system --create-namespace --wait

The chart installs the controller, its permissions, its CRDs and a GatewayClass. Data planes are not described here but
in [GatewayParameters](crds.md#gatewayparameters), for a class (`gatewayClass.parametersRef`) or a Gateway. Other values
are refused by `values.schema.json`. [Install](../operate/install.md) has the other ways.

This page is written by `python tools/chart_page.py` from the chart.

| value | default | allowed | what it is |
|---|---|---|---|
"""


class Value(NamedTuple):
    """A value of the chart.

    Attributes:
        name: with dots, as `--set` takes it.
        default: of values.yaml.
        schema: of values.schema.json.
    """

    name: str
    default: Any
    schema: dict[str, Any]


def values() -> list[Value]:
    """Every value, in the order of values.yaml."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    return list(_leaves(yaml.safe_load((CHART / "values.yaml").read_text()), schema, ""))


def _leaves(found: dict[str, Any], schema: dict[str, Any], prefix: str) -> Iterator[Value]:
    for name, value in found.items():
        field = schema["properties"][name]
        if value and "properties" in field:
            yield from _leaves(value, field, f"{prefix}{name}.")
        else:
            yield Value(prefix + name, value, field)


def readme_table() -> list[str]:
    """Lines of the table in the chart's README."""
    rows = [f"| `{item.name}` | `{json.dumps(item.default)}` | {item.schema['description']} |" for item in values()]
    return ["| value | default | what it is |", "|---|---|---|", *rows]


def page() -> str:
    """The page as it should be."""
    rows = (
        f"| `{item.name}` | `{json.dumps(item.default)}` | {_allowed(item)} | {item.schema['description']} |\n"
        for item in values()
    )
    return _HEAD + "".join(rows)


def _allowed(value: Value) -> str:
    schema = value.schema
    if "enum" in schema:
        return ", ".join(f"`{item}`" for item in schema["enum"])
    kind = str(schema.get("type", "object" if isinstance(value.default, dict) else "string"))
    return f"{kind}, {schema['minimum']} to {schema['maximum']}" if "minimum" in schema else kind


if __name__ == "__main__":
    lines = README.read_text().splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith("|"))
    kept = [line for line in lines if not line.startswith("|")]
    README.write_text("\n".join([*kept[:first], *readme_table(), *kept[first:]]) + "\n")
    PAGE.write_text(page())
