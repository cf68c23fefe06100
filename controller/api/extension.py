"""RequestHeaderFilter (`sluicegate.dev/v1alpha1`): header edits for every request of a listener.

Linked by `extensionRef` in `listeners[].filters.requests[]` (GEP-5224). The published schema is
`deploy/crds/requestheaderfilter.yaml`.
"""

from __future__ import annotations

from .meta import Object
from .route import HeaderFilter


class RequestHeaderFilter(Object, frozen=True, kw_only=True):
    """Edits of request headers, as those of a `RequestHeaderModifier`."""

    spec: HeaderFilter = HeaderFilter()
