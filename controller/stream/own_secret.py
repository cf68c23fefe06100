"""Secrets that the controller keeps for itself."""

from __future__ import annotations

import base64
from typing import Any

from ..sources.kubernetes.client import Client
from ..sources.kubernetes.resources import BY_KIND


async def write(
    client: Client, collection: str, name: str, document: dict[str, Any], values: dict[str, bytes], kind: str = "Opaque"
) -> None:
    """Replace what was read, or create it.

    Args:
        client: of the API server.
        collection: path of the namespace's Secrets.
        name: of the Secret.
        document: as it was read, whose version must still be the current one; empty: there was none.
        values: what it is to hold, by field.
        kind: `type` of a new one.

    Raises:
        ApiError: refused; 409 where somebody else was faster.
    """
    data = {field: base64.b64encode(value).decode() for field, value in values.items()}
    if document:
        await client.request("PUT", f"{collection}/{name}", body={**document, "data": data})
        return
    body = {
        "apiVersion": BY_KIND["Secret"].version,
        "kind": "Secret",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "sluicegate"}},
        "type": kind,
        "data": data,
    }
    await client.request("POST", collection, body=body)
