"""Objects of the golden cases with odd values in odd places: what no author means, and no gateway may stumble over."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

GOLDEN = Path(__file__).parents[1] / "golden"

#: Values as YAML writes them.
YAML_VALUES = (
    "{1: a, b: c}", "[{1: a, b: 2}, {1: a, b: 2}]", "{null: 1}", "{true: 1, a: 2}", "{? [1, 2] : 3}", "{? {a: 1} : 3}",
    "!!binary aGk=", "!!set {a, b}", "!!omap [a: 1]", "!!pairs [a: 1]", "!!timestamp 2001-01-01", "!!timestamp x",
    "!!float 1", "!!float ''", "!!int abc", "!!int ''", "!!bool maybe", "!!str 1", "!!merge <<", "!foo bar", "*x",
    "{<<: [1]}", "{<<: {a: 1}}", ".nan", ".inf", "-1", "99999999999999999999999", "9" * 5_000, "1e400", "0x", "1_0",
    "null", "true", "[]", "{}", "[null]", "[[[]]]", "''", "'a'", "'\\0'", '"\\ud800"', "\u2028",
    "'" + "x" * 5_000 + "'",
    "2026-01-01T00:00:00Z", "'2026-13-01T00:00:00Z'", "'0000-00-00T00:00:00Z'", "'0001-01-01T00:00:00+23:59'",
    "'9999-12-31T23:59:59-23:59'",
)  # fmt: skip
#: Values as JSON writes them.
JSON_VALUES = (
    '{"1": "a"}', '[{"a": 1}, 2]', '{"": ""}', '{"a/b": {"c": []}}', "-1", "0", "65536", "99999999999999999999999",
    "1e400", "-1e400", "1.5", "1e3", "null", "true", "[]", "{}", "[null]", "[[[]]]", '""', '"a"', '"\\u0000"', '"\\n"',
    '"\\ud83d\\ude00"', '"\\u2028"', json.dumps("x" * 5_000), '"2026-13-01T00:00:00Z"', '"0001-01-01T00:00:00+23:59"',
    '"9999-12-31T23:59:59-23:59"', '"../.."', '"a/b"', '"*"', '"::1"', '"::ffff:1.2.3.4"', '"(((("', '"%"',
    "[" * 60 + "]" * 60, '"' + "é" * 300 + '"',
)  # fmt: skip
_MARK = "@@{}@@"


def objects() -> list[dict[str, Any]]:
    """Every object of the golden cases."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found: list[dict[str, Any]] = []
    for path in sorted(GOLDEN.glob("*/*/in.yaml")):
        found += [item for item in yaml.load_all(path.read_text(), loader) if isinstance(item, dict)]
    return found


def odd_yaml(source: dict[str, Any], chance: random.Random) -> str:
    """An object as YAML, one or two of its values odd."""
    text = json.dumps(_marked(source, chance, len(YAML_VALUES)), default=str, ensure_ascii=False)
    return re.sub(r'"@@(\d+)@@"', lambda found: f" {YAML_VALUES[int(found[1])]} ", text)


def odd_json(source: dict[str, Any], chance: random.Random) -> str:
    """An object as JSON, one or two of its values odd."""
    text = json.dumps(_marked(source, chance, len(JSON_VALUES)), default=str)
    return re.sub(r'"@@(\d+)@@"', lambda found: JSON_VALUES[int(found[1])], text)


def _marked(source: dict[str, Any], chance: random.Random, count: int) -> dict[str, Any]:
    result = copy.deepcopy(source)
    for _ in range(chance.choice((1, 1, 2))):
        place = chance.choice([path for path in _paths(result) if path])
        holder: Any = result
        for step in place[:-1]:
            holder = holder[step]
        value = _MARK.format(chance.randrange(count))
        holder[place[-1]] = [value, value] if chance.random() < 0.2 else value
    return result


def _paths(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        for name in value:
            yield from _paths(value[name], (*path, name))
    elif isinstance(value, list):
        for index in range(len(value)):
            yield from _paths(value[index], (*path, index))
