"""Sluicegate and the API server agree about objects: which are taken, and what is made of them."""

from __future__ import annotations

import json
import secrets
from typing import Any

import pytest
import yaml
from api import Api, ApiError, Object, path_of
from odd_objects import bases, entries, odd_objects
from scalars import REFUSED, SCALARS
from stored import comparable, stored

from conftest import established
from sluicegate.controller.api import DecodeError, decode
from sluicegate.controller.sources.files.loader import load
from sluicegate.schema import violations, without_nulls
from sluicegate.schema.catalog import Entry

YAML = "application/yaml"
SEED, COUNT = 13, 324
#: Refused for what a cluster has, which nobody can say of a file.
OF_THE_CLUSTER = ("provided port is not in the valid range", "already allocated")
#: A kind whose objects hold anything.
ANYTHING = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: anythings.tests.sluicegate.dev}
spec:
  group: tests.sluicegate.dev
  scope: Cluster
  names: {kind: Anything, plural: anythings}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          value: {x-kubernetes-preserve-unknown-fields: true}
"""


@pytest.fixture(scope="module")
def served(api: Api, own_kinds: None) -> dict[tuple[str, str], Entry]:
    """The kinds and versions that this API server has, our own CRDs among them."""
    found = {}
    for key, entry in entries().items():
        try:
            api.call("GET", collection(entry) + "?limit=1")
        except ApiError as error:
            if error.status != 404:
                raise
        else:
            found[key] = entry
    return found


def collection(entry: Entry, namespace: str = "") -> str:
    newest = path_of(entry.kind, namespace)
    group, _, _ = newest.partition("/namespaces/")
    prefix = f"/apis/{entry.version}" if "/" in entry.version else f"/api/{entry.version}"
    rest = newest.removeprefix(group) if namespace and entry.namespaced else ""
    return f"{prefix}{rest or '/' + newest.rpartition('/')[2]}"


def named(item: Object, entry: Entry, namespace: str, name: str) -> Object:
    """The object with a name of its own, in a namespace of the test's."""
    metadata = item.get("metadata")
    if isinstance(metadata, dict):
        signer, colon, _ = str(metadata.get("name", "")).rpartition(":")
        metadata["name"] = f"{signer}{colon}{name}"
        metadata.pop("namespace", None)
        if entry.namespaced:
            metadata["namespace"] = namespace
    return item


def said(item: Object) -> list[str]:
    return [f"{found.field}: {found.message}" for found in violations(item) if found.severity == "error"]


def content(item: Object) -> Any:
    """What Sluicegate reads of a custom resource, without what only the API server can say."""
    try:
        return decode({**comparable(item), "apiVersion": item["apiVersion"], "kind": item["kind"]})
    except DecodeError as error:
        return str(error)


def difference(item: Object, entry: Entry, api: Api, path: str, text: str) -> str:
    """How the API server's verdict on an object, or what it stores of it, differs from ours; empty: not at all."""
    ours = said(item)
    try:
        theirs = api.call("POST", path, text, YAML)
    except ApiError as error:
        if error.status not in {400, 422}:
            raise
        return "" if ours or any(words in str(error) for words in OF_THE_CLUSTER) else f"refused: {error}"
    try:
        api.call("DELETE", f"{path}/{theirs['metadata']['name']}")
    except ApiError as error:
        # What has the labels of something provisioned, an installed controller takes away where no Gateway wants it.
        if error.status != 404:
            raise
    if ours:
        return f"taken, but we say {ours}"
    if comparable(stored(item)) != comparable(theirs):
        return f"stored: {json.dumps(comparable(theirs))}\nby us: {json.dumps(comparable(stored(item)))}"
    kept = {name: value for name, value in without_nulls(item).items() if name != "status"}
    if entry.custom and content(theirs) != content(kept):
        return f"read as {content(theirs)}\nby us: {content(kept)}"
    return ""


def test_the_api_server_says_and_stores_the_same(
    api: Api, namespace: str, served: dict[tuple[str, str], Entry]
) -> None:
    # A letter first: `12345e-7` is a number.
    differences, taken, mark = [], 0, f"t{secrets.token_hex(3)}"
    for number, item in enumerate(odd_objects(SEED, COUNT, bases(), served)):
        entry = served[item["apiVersion"], item["kind"]]
        text = yaml.safe_dump(named(item, entry, namespace, f"{mark}-{number}"))
        read_back = load(text).value
        assert isinstance(read_back, dict)
        taken += not said(read_back)
        found = difference(read_back, entry, api, collection(entry, namespace), text)
        if found:
            differences.append(f"{text}{found}\n")
    print(f"{COUNT} objects of {len(served)} kinds and versions: {taken} taken, {len(differences)} differences")
    assert not differences, "\n".join(differences)
    assert COUNT / 4 < taken < COUNT


def test_scalars_are_read_as_the_api_server_reads_them(api: Api) -> None:
    api.apply(ANYTHING)
    api.until("CustomResourceDefinition", "", "anythings.tests.sluicegate.dev", established)
    path = "/apis/tests.sluicegate.dev/v1/anythings?dryRun=All"
    head = "apiVersion: tests.sluicegate.dev/v1\nkind: Anything\nmetadata: {name: a}\n"
    try:
        for text, wanted in SCALARS.items():
            found = api.call("POST", path, f"{head}value: {text}\n", YAML)["value"]
            assert (text, type(found), found) == (text, type(wanted), wanted)
        for text in REFUSED:
            with pytest.raises(ApiError, match="400"):
                api.call("POST", path, f"{head}value: {text}\n", YAML)
    finally:
        api.delete("CustomResourceDefinition", "", "anythings.tests.sluicegate.dev")
