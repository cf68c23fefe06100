"""What stands in for errors: pages of a Service, and a page that leads browsers without a certificate elsewhere."""

from __future__ import annotations

import html
from typing import Any

from ..features import ErrorPages
from ..hosts import Location
from ..losses import Cause
from .output import Output
from .rules import RuleDraft

#: Statuses of an error page.
MAX_STATUSES = 32
_LEADS = (
    '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<meta http-equiv="refresh" content="0; url={url}">\n'
    '<title>A certificate is needed</title>\n<p>This page needs a certificate: <a href="{url}">{url}</a></p>\n</html>\n'
)


def error_pages(rule: RuleDraft, location: Location, leads: tuple[str, tuple[Cause, ...]], output: Output) -> None:
    """Say the pages of a location in its rule, which has one filter of the kind.

    Args:
        rule: of the location.
        location: it.
        leads: URL where browsers without a certificate are sent, empty for nowhere, and where that is written.
        output: takes the filter.
    """
    feature = location.features.get(ErrorPages)
    url, causes = leads
    pages: list[dict[str, Any]] = []
    if url:
        text = _LEADS.format(url=html.escape(url, quote=True))
        pages.append({"statuses": ["401"], "from": "Gateway", "body": text})
    if feature is not None:
        causes += feature.causes
        pages += _of_service(feature, output)
    if not pages:
        return
    rule.causes += [item for item in causes if item not in rule.causes]
    name = output.filter(location.ingress, "errors", {"errorPages": pages}, causes)
    rule.extensions += [name] if name is not None else []


def _of_service(feature: ErrorPages, output: Output) -> list[dict[str, Any]]:
    service = output.inventory.services.get((feature.namespace, feature.service))
    if service is None or not service.spec.ports:
        message = (
            f"the Service {feature.namespace}/{feature.service} is not here, and its port cannot be told: no pages"
        )
        output.ledger.tell(feature.cause, "invalid", message, "give the Service as well")
        return []
    ports = [item.port for item in service.spec.ports if feature.port in {"", item.name, str(item.port)}]
    if not ports:
        message = f"the Service {feature.namespace}/{feature.service} has no port {feature.port}: no pages"
        output.ledger.tell(feature.cause, "invalid", message, "correct the port")
        return []
    backend = {"name": feature.service, "port": ports[0]}
    every = list(map(str, feature.statuses))
    some = [every[start : start + MAX_STATUSES] for start in range(0, len(every), MAX_STATUSES)]
    pages = [{"statuses": item, "from": "Backend", "backendRef": backend} for item in some]
    return [*pages, {"statuses": ["503"], "from": "Gateway", "backendRef": backend}]
