"""The table of kinds agrees with what cannot be derived from it."""

from __future__ import annotations

import re
import typing
from pathlib import Path

import pytest

from sluicegate.controller import api
from sluicegate.controller.api.kind import Kind
from sluicegate.controller.api.kinds import BY_NAME, ROUTE_KINDS, TABLE
from sluicegate.schema.catalog import catalog

#: Newest first.
VERSIONS = ("v2", "v1", "v1beta1", "v1alpha3", "v1alpha2", "v1alpha1")


@pytest.mark.parametrize("kind", TABLE, ids=lambda kind: kind.name)
def test_a_row(kind: Kind) -> None:
    assert list(kind.versions) == sorted(kind.versions, key=VERSIONS.index)
    assert kind.struct is None or kind.struct.__name__ == kind.name
    # What is watched is watched for something, and what is written is not read without a reason.
    assert bool(kind.reads) == (kind.role != "own")
    assert bool(kind.provisions) or kind.role != "provisioned"
    assert kind.reads or kind.permissions


def test_names_are_unique() -> None:
    assert len(BY_NAME) == len(TABLE) == len({(kind.group, kind.plural) for kind in TABLE})


def test_the_type_of_routes_has_every_kind_of_route() -> None:
    assert {struct.__name__ for struct in typing.get_args(api.Route)} == set(ROUTE_KINDS)


def test_what_is_read_from_files_has_a_schema_in_every_version() -> None:
    """But for what only tells of a cluster. Source of scopes: the CRDs."""
    known = catalog()
    for kind in TABLE:
        if kind.struct and kind.files and not kind.minor:
            for version in kind.api_versions:
                entry = known.get((version, kind.name))
                # Versions that the newest CRDs have dropped.
                if entry is None and version != kind.api_versions[0]:
                    continue
                assert entry is not None, (kind.name, version)
                assert entry.namespaced is kind.namespaced, kind.name


def test_the_readme_names_the_kinds_that_serve_reads() -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text()
    [section] = re.findall(r"### What serve reads\n(.*?)`examples/protocols`", text, re.DOTALL)
    named = {word for word in re.findall(r"\w+", section) if word in BY_NAME}
    assert named == {kind.name for kind in TABLE if kind.struct and kind.files and not kind.minor}
