"""Objects of the golden cases with odd values in odd places: what no author means, and no gateway may stumble over.

The searches of `test_odd_*` last for `SECONDS` in all; `TEST_FUZZ_SECONDS` and `TEST_FUZZ_SEED` make them
longer and begin elsewhere.
"""

from __future__ import annotations

import copy
import functools
import json
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

#: Seconds of each search, and where it begins.
SECONDS = float(os.environ.get("TEST_FUZZ_SECONDS", "2.5"))
SEED = int(os.environ.get("TEST_FUZZ_SEED", "1"))
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
    "'9999-12-31T23:59:59-23:59'", "[" * 70 + "]" * 70, "{a: " * 70 + "1" + "}" * 70, "[" * 3_000, "&a [*a]",
    "{a: &a [x, x], b: &b [*a, *a], c: &c [*b, *b], d: [*c, *c]}", "&a {b: &b {<<: *a}}", "{a: 1, a: 2}", '"\\0"',
    '"\\ud83d\\ude00"', "0x" + "f" * 2_000, "-" * 300, "'" + "a." * 200 + "a'", "'" + "é" * 300 + "'",
    "{{ .Values.a }}",
    '"\\x00\\x1f"', "? a", "|\n  text", "!!null ''", "~", "1e-400", "-0", "-0.0", ".5", "0o17", "017", "1_000",
)  # fmt: skip
#: Values as JSON writes them.
JSON_VALUES = (
    '{"1": "a"}', '[{"a": 1}, 2]', '{"": ""}', '{"a/b": {"c": []}}', "-1", "0", "65536", "99999999999999999999999",
    "1e400", "-1e400", "1.5", "1e3", "null", "true", "[]", "{}", "[null]", "[[[]]]", '""', '"a"', '"\\u0000"', '"\\n"',
    '"\\ud83d\\ude00"', '"\\u2028"', json.dumps("x" * 5_000), '"2026-13-01T00:00:00Z"', '"0001-01-01T00:00:00+23:59"',
    '"9999-12-31T23:59:59-23:59"', '"../.."', '"a/b"', '"*"', '"::1"', '"::ffff:1.2.3.4"', '"(((("', '"%"',
    "[" * 60 + "]" * 60, '"' + "é" * 300 + '"', "[" * 3_000, '{"a": 1, "a": 2}', '"\\ud800"', "9" * 5_000, "NaN", "-0",
    "-Infinity", "1e-400", json.dumps("a." * 200 + "a"), '{"a": ' * 70 + "1" + "}" * 70,
)  # fmt: skip
#: What is put into a text, or in place of a part of it.
PIECES = (
    "", "\0", "\x1b", "\t", "\r", "\ufeff", "\u2028", "\ud83d\ude00", "{", "}", "[", "]", ":", ": ", ",", "- ", "\n",
    "\n\n", "\n---\n", "\n...\n", "\n%YAML 1.1\n---\n", "#", "&a ", "*a", "!!", "|\n", ">\n", '"', "'", "\\", "\\u",
    "\\ud800", "? ", "<<: *a", "{{ if }}", " " * 200, "[" * 200, "{" * 200, "-" * 200, "\n" + " " * 100,
    "kind: List\nitems:\n- ", "null", "~", '{"kind": "List", "items": [', "apiVersion: ", "kind: ", "metadata: ",
)  # fmt: skip
_MARK = "@@{}@@"


@functools.lru_cache(maxsize=1)
def objects() -> list[dict[str, Any]]:
    """Every object of the golden cases; nobody changes them."""
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


def odd_text(text: str, chance: random.Random) -> str:
    """A text with parts that are other ones, gone, there twice, or somewhere else."""
    for _ in range(chance.choice((1, 1, 2, 4))):
        start = chance.randrange(len(text) + 1)
        end = min(len(text), start + chance.choice((0, 0, 1, 1, 2, 8, 40)))
        how = chance.randrange(4)
        if how == 0:
            text = text[:start] + chance.choice(PIECES) + text[end:]
        elif how == 1:
            text = text[:end] + text[start:end] + text[end:]
        elif how == 2:
            place = chance.randrange(len(text) + 1)
            text = text[:place] + text[start:end] + text[place:]
        else:
            text = text[:start] + text[end:]
    return text


def _marked(source: dict[str, Any], chance: random.Random, count: int) -> dict[str, Any]:
    result = copy.deepcopy(source)
    for _ in range(chance.choice((1, 1, 2))):
        places = [path for path in _paths(result) if path]
        if not places:
            break
        place = chance.choice(places)
        holder: Any = result
        for step in place[:-1]:
            holder = holder[step]
        value = _MARK.format(chance.randrange(count))
        how = chance.random()
        if how < 0.15 and isinstance(holder, dict):
            holder[str(place[-1])[:-1] + "x"] = holder.pop(place[-1])
        elif how < 0.25:
            del holder[place[-1]]
        elif how < 0.35 and isinstance(holder, list):
            holder += [holder[place[-1]]] * chance.choice((1, 2, 70))
        else:
            holder[place[-1]] = [value, value] if how > 0.85 else value
    return result


def _paths(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        for name in value:
            yield from _paths(value[name], (*path, name))
    elif isinstance(value, list):
        for index in range(len(value)):
            yield from _paths(value[index], (*path, index))
