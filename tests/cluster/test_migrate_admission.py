"""What comes of every migration is taken by the real API server: by schemas and rules of all CRDs, of ours too."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from api import APPLY, Api, ApiError, path_of
from migrate_cases import cases

from sluicegate.controller.ingress import Manifest
from sluicegate.controller.ingress.emit.manifest import VERSIONS

#: Requests that are under way at once.
CLIENTS = 8


def refusal(api: Api, namespace: str, case: str, manifest: Manifest) -> str:
    """Why the API server refuses a manifest of a case, which it would not keep; empty: it takes it."""
    item = manifest.document
    # The namespaces of a case are not there, and nothing in a schema or a rule is about them.
    item["metadata"] = {**item["metadata"], "namespace": namespace}
    path = path_of(manifest.kind, namespace, manifest.name)
    try:
        api.call("PATCH", f"{path}?fieldManager=tests&force=true&dryRun=All", item, APPLY)
    except ApiError as error:
        return f"{case}: {manifest.kind} {manifest.namespace}/{manifest.name}: {error}"
    return ""


@pytest.mark.usefixtures("own_kinds")
def test_the_api_server_takes_every_conversion(api: Api, namespace: str) -> None:
    # One after the other: a case is read in its own directory, and the process has one.
    made = [(case.name, manifest) for case in cases() for manifest in case.convert().objects]
    with ThreadPoolExecutor(CLIENTS) as pool:
        found = [said for said in pool.map(lambda each: refusal(api, namespace, *each), made) if said]
    assert not found, "\n".join(found)
    assert {manifest.kind for _, manifest in made} == set(VERSIONS)
