"""What the API server would say about an object: the CRDs' OpenAPI schemas, list types and CEL rules.

The schemas are data (`data/*.json`, made by `tools/schemas.py` from the Gateway API's own CRDs and the Kubernetes
client's models); CEL is evaluated by the native library. Kinds that have no schema here are not looked at.
"""

from .catalog import Entry, catalog
from .misspelt import meant_kind
from .nulls import without_nulls
from .validate import violations

__all__ = ["Entry", "catalog", "meant_kind", "violations", "without_nulls"]
