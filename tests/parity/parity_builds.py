"""The builds of the router that have to agree: `python`, `cython`, `native`.

`python` and `native` are always compared, `cython` where its package is installed. Where `TEST_PARITY_BUILDS` names
builds, `cython` is compared only where it is named, and has to be there: `make test` makes it anew and names all three.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from sluicegate import _native, ir, reference
from sluicegate.reference import Connection, Decision, Request

#: Package of the Cython build (`benches/cython`).
CYTHON_PACKAGE = "sluicegate_cython_reference"

#: From a request as JSON to a decision as JSON.
Decide: TypeAlias = Callable[[bytes], bytes]


class Refused(Exception):  # noqa: N818 the word of the IR
    """A build refuses a transaction."""


@dataclass(frozen=True)
class Build:
    """One router.

    Attributes:
        name: of the build.
        open: from the JSON of a full transaction to `Decide`; raises `Refused`.
    """

    name: str
    open: Callable[[bytes], Decide]


def _open_reference(package: Any) -> Callable[[bytes], Decide]:
    def open_table(transaction: bytes) -> Decide:
        try:
            table = package.compile(transaction)
        except (package.TableError, ir.IrError) as error:
            raise Refused(str(error)) from error
        return lambda request: bytes(package.decide_json(table, request))

    return open_table


def _open_native(transaction: bytes) -> Decide:
    try:
        table = _native.RouteTable(transaction)
    except _native.Refused as error:
        raise Refused(str(error)) from error
    return table.decide


def builds() -> list[Build]:
    """All builds, the oracle first."""
    found = [Build("python", _open_reference(reference))]
    wanted = os.environ.get("TEST_PARITY_BUILDS", "")
    if "cython" in wanted.split(",") or (not wanted and importlib.util.find_spec(CYTHON_PACKAGE) is not None):
        found.append(Build("cython", _open_reference(importlib.import_module(CYTHON_PACKAGE))))
    return [*found, Build("native", _open_native)]


BUILDS = builds()


def open_all(transaction: bytes) -> dict[str, Decide]:
    """The table in every build.

    Raises:
        AssertionError: some builds refuse the transaction and others do not.
        Refused: all of them refuse it.
    """
    opened: dict[str, Decide] = {}
    refusals: dict[str, str] = {}
    for build in BUILDS:
        try:
            opened[build.name] = build.open(transaction)
        except Refused as error:
            refusals[build.name] = str(error)
    if refusals:
        assert not opened, f"{refusals} but not {[*opened]}:\n{pretty(transaction)}"
        raise Refused(str(refusals))
    return opened


def agree(transaction: bytes, opened: dict[str, Decide], request: Request | Connection) -> Decision:
    """The decision of the oracle.

    Raises:
        AssertionError: a build decides otherwise; shows the decisions, the request and the table.
    """
    data = msgspec.json.encode(request)
    decisions = {name: json.loads(decide(data)) for name, decide in opened.items()}
    expected = decisions["python"]
    for name, decision in decisions.items():
        if decision != expected:
            keys = [key for key in expected if decision.get(key) != expected[key]]
            shown = "\n".join(f"{build}: {json.dumps(each)}" for build, each in decisions.items())
            message = (
                f"{name} differs from python in {keys}\n{shown}\nrequest: {data.decode()}\ntable: {pretty(transaction)}"
            )
            raise AssertionError(message)
    return msgspec.convert(expected, Decision)


def pretty(transaction: bytes) -> str:
    """The transaction for people."""
    return json.dumps(json.loads(transaction), indent=1)


# --- Changes ----------------------------------------------------------------------------------------------------

#: Resources by kind and id, as JSON has them.
Resources: TypeAlias = dict[str, dict[str, Any]]
#: Kinds of the section of secrets.
SECRETS = ("certificates", "policy_secrets")


def resources_of(document: dict[str, Any]) -> Resources:
    """What a full transaction holds."""
    resources = {kind: {item["id"]: item for item in rows} for kind, rows in document.get("upsert", {}).items()}
    secrets = document.get("secrets") or {}
    resources |= {kind: {item["id"]: item for item in secrets.get(kind, [])} for kind in SECRETS}
    return resources


def difference(before: Resources, after: Resources, generation: int) -> bytes:
    """The transaction that makes `after` of `before`."""
    kinds = before.keys() | after.keys()
    remove = {kind: [key for key in before.get(kind, {}) if key not in after.get(kind, {})] for kind in kinds}
    upsert = {
        kind: [item for key, item in after.get(kind, {}).items() if before.get(kind, {}).get(key) != item]
        for kind in kinds
    }
    secrets = {kind: upsert.pop(kind, []) for kind in SECRETS}
    return json.dumps(
        {
            "version": ir.VERSION,
            "generation": generation + 1,
            "remove": remove,
            "upsert": upsert,
            "secrets": secrets,
        }
    ).encode()
