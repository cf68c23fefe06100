"""Where manifests are going: to a cluster, or to a gateway that serves the files themselves.

A cluster makes EndpointSlices of the selectors of Services, gives each Gateway addresses of its own, and shows the
controller no Secret but those of certificates. `serve` does none of this.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from sluicegate.controller.sources.files import Document

Destination = Literal["cluster", "standalone"]


def destination_of(documents: Iterable[Document]) -> tuple[Destination, str]:
    """Where manifests look to be going, and why: nobody writes EndpointSlices for a cluster."""
    if any(document.data.get("kind") == "EndpointSlice" for document in documents):
        return "standalone", "the manifests have EndpointSlices, which a cluster makes itself"
    return "cluster", "the manifests have no EndpointSlice, which sluicegate serve needs for each Service"
