"""What comes of every migration is taken by the real API server: by schemas and rules of all CRDs, of ours too."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from api import APPLY, Api, ApiError, path_of
from migrate_cases import Case, cases

#: Requests that are under way at once.
CLIENTS = 8


def refusals(api: Api, namespace: str, case: Case) -> list[str]:
    """What the API server says of the manifests of a case; it keeps none of them."""
    found = []
    for manifest in case.convert().objects:
        item = manifest.document
        # The namespaces of a case are not there, and nothing in a schema or a rule is about them.
        item["metadata"] = {**item["metadata"], "namespace": namespace}
        path = path_of(manifest.kind, namespace, manifest.name)
        try:
            api.call("PATCH", f"{path}?fieldManager=tests&force=true&dryRun=All", item, APPLY)
        except ApiError as error:
            found.append(f"{case.name}: {manifest.kind} {manifest.namespace}/{manifest.name}: {error}")
    return found


@pytest.mark.usefixtures("own_kinds")
def test_the_api_server_takes_every_conversion(api: Api, namespace: str) -> None:
    every = list(cases())
    with ThreadPoolExecutor(CLIENTS) as pool:
        found = [line for lines in pool.map(lambda case: refusals(api, namespace, case), every) for line in lines]
    assert not found, "\n".join(found)
    assert len(every) > 100
