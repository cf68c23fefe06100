"""Objects with odd values, made at random: what an API server and Sluicegate take or refuse, and what they make of it.

Each begins as an object that is right. One or two places of it that its schema knows get one of `ODD`, a value that
fits, or lose theirs. The same seed makes the same objects.
"""

from __future__ import annotations

import copy
import datetime
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from sluicegate.controller.api.kinds import BY_NAME
from sluicegate.schema import violations
from sluicegate.schema.catalog import Entry, catalog
from sluicegate.schema.metadata import METADATA

Object = dict[str, Any]
Schema = Mapping[str, Any]

GOLDEN = Path(__file__).parents[1] / "golden"
#: Left out.
ABSENT = object()
#: What templates, tools and people write where something else belongs.
ODD: tuple[Any, ...] = (
    *("", {}, [], [None], [""], [{}], {"a": None}, {"a": 1}, {"a": ""}),
    *(0, -1, 1, 80.0, 80.5, 1e3, 2**31, 2**63, 1e20),
    *("80", "80.0", "y", "true", True),
)
#: Texts that fit somewhere.
TEXTS = ("a", "a.example.com", "Service", "10.0.0.1", "5s", "web", "UPPER", "x" * 64)
INTEGERS = (0, 1, 80, 443.0, 65_535, 65_536, 1_000_000)
#: Names that a map may get.
KEYS = ("a", "b")
MAX_CHANGES = 2
#: Shares of places that are changed no deeper; of values that are left out, that fit, that are null; of fields that are
#: not known, of items that are there already, of fields that a value that fits has.
STOP, LEFT_OUT, FITTING, NULL, UNKNOWN, TWICE, OPTIONAL = 0.3, 0.1, 0.4, 0.25, 0.05, 0.5, 0.3
#: Levels of a value that fits.
DEEPEST = 4
#: Of metadata neither what names the object nor what an API server takes only from itself.
_FIXED = frozenset({"name", "namespace", "generateName", "finalizers", "resourceVersion", "ownerReferences"})


def entries() -> dict[tuple[str, str], Entry]:
    """Kinds that are read and have a schema, by `apiVersion` and kind, as far as versions are served."""
    return {key: entry for key, entry in catalog().items() if entry.served and entry.kind in BY_NAME}


def bases() -> list[Object]:
    """Objects that are right: those of the golden inputs, and bundles with a certificate."""
    found = []
    for path in sorted(GOLDEN.glob("*/*/in.yaml")):
        for item in yaml.safe_load_all(path.read_text()):
            if isinstance(item, dict) and item.get("kind") in BY_NAME and not violations(item):
                # Only the API server knows which addresses are free.
                for name in ("clusterIP", "clusterIPs"):
                    if item.get("spec", {}).get(name) != "None":
                        item.get("spec", {}).pop(name, None)
                found.append(item)
    bundle = {"apiVersion": "certificates.k8s.io/v1beta1", "kind": "ClusterTrustBundle"}
    spec = {"trustBundle": certificate()}
    found.append({**bundle, "metadata": {"name": "a"}, "spec": spec})
    signed = {"signerName": "example.com/signer", **spec}
    found.append({**bundle, "metadata": {"name": "example.com:signer:a"}, "spec": signed})
    return found


def certificate() -> str:
    """Of a CA, as PEM."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    begin = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, begin, begin + datetime.timedelta(days=365))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def odd_objects(
    seed: int, count: int, right: Sequence[Object], kinds: Mapping[tuple[str, str], Entry]
) -> Iterator[Object]:
    """Make objects, of every kind and version equally many.

    Args:
        seed: of the random choices.
        count: how many.
        right: what they begin as; at least one of each kind.
        kinds: what to make, by `apiVersion` and kind.
    """
    chance = random.Random(seed)
    names = sorted(kinds)
    by_kind = {kind: [item for item in right if item["kind"] == kind] for _, kind in names}
    metadata = {name: schema for name, schema in METADATA["properties"].items() if name not in _FIXED}
    for number in range(count):
        version, kind = names[number % len(names)]
        item = copy.deepcopy(chance.choice(by_kind[kind]))
        item["apiVersion"] = version
        schema = {**kinds[version, kind].schema}
        schema["properties"] = {**schema["properties"], "metadata": {"properties": metadata}}
        for _ in range(chance.randint(1, MAX_CHANGES)):
            _change(item, schema, chance)
        yield item


def _change(item: Any, schema: Schema, chance: random.Random) -> None:
    """Change one place of an object or a list, at any depth."""
    below = _below(item, schema)
    while below and chance.random() > STOP:
        item, schema = chance.choice(below)
        below = _below(item, schema)
    if isinstance(item, list):
        _change_list(item, schema.get("items", {}), chance)
    else:
        _change_object(item, schema, chance)


def _below(item: Any, schema: Schema) -> list[tuple[Any, Schema]]:
    """Objects and lists in this one that have something in them, each with its schema."""
    if isinstance(item, list):
        found = [(value, schema.get("items", {})) for value in item]
    else:
        additional = schema.get("additionalProperties", {})
        found = [(value, schema.get("properties", {}).get(name, additional)) for name, value in item.items()]
    return [
        (value, known)
        for value, known in found
        if isinstance(value, (dict, list)) and value and isinstance(known, dict)
    ]


def _change_object(item: Object, schema: Schema, chance: random.Random) -> None:
    known = schema.get("properties", {})
    additional = schema.get("additionalProperties")
    names = sorted(set(known) - {"apiVersion", "kind", "metadata"})
    if isinstance(additional, dict):
        names = sorted({*item, *KEYS})
    if not names or chance.random() < UNKNOWN:
        item["colour"] = copy.deepcopy(chance.choice(ODD))  # it may be changed in its turn
        return
    name = chance.choice(names)
    value = _value(known.get(name, additional), chance)
    if value is ABSENT:
        item.pop(name, None)
    else:
        item[name] = value


def _change_list(items: list[Any], schema: Schema, chance: random.Random) -> None:
    place = chance.randrange(len(items) + 1)
    if place == len(items):
        twice = items and chance.random() < TWICE
        items.append(copy.deepcopy(chance.choice(items)) if twice else _fitting(schema, chance, 0))
        return
    value = _value(schema, chance)
    if value is ABSENT:
        del items[place]
    else:
        items[place] = value


def _value(schema: Any, chance: random.Random) -> Any:
    kinds = ("left out", "fitting", "null", "odd")
    [kind] = chance.choices(kinds, (LEFT_OUT, FITTING, NULL, 1 - LEFT_OUT - FITTING - NULL))
    if kind == "fitting":
        return _fitting(schema if isinstance(schema, dict) else {}, chance, 0)
    if kind == "odd":
        return copy.deepcopy(chance.choice(ODD))
    return ABSENT if kind == "left out" else None


def _fitting(schema: Schema, chance: random.Random, depth: int) -> Any:
    """A value of the right type, whether rules hold or not; nulls here and there."""
    if "enum" in schema:
        return chance.choice(schema["enum"])
    kind = schema.get("type")
    if kind == "object":
        fields, required = schema.get("properties", {}), schema.get("required", ())
        if not fields or depth == DEEPEST:
            return {"a": chance.choice(("", "b", None))} if not fields else {}
        names = [name for name in sorted(fields) if name in required or chance.random() < OPTIONAL]
        made = {name: _fitting(fields[name], chance, depth + 1) for name in names}
        return {name: None if name not in required and chance.random() < NULL else item for name, item in made.items()}
    if kind == "array":
        return [_fitting(schema.get("items", {}), chance, depth + 1) for _ in range(chance.randint(0, 2))]
    if kind == "integer":
        return chance.choice(INTEGERS)
    if kind == "boolean":
        return chance.choice((True, False))
    if schema.get("x-kubernetes-int-or-string"):
        return chance.choice((80, "http", "80", 8080.0))
    return chance.choice(TEXTS)
