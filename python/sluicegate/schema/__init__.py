"""What the API server would say about an object: the CRDs' OpenAPI schemas, list types and CEL rules.

The schemas are data (`data/*.json`, made by `tools/schemas.py` from the Gateway API's own CRDs and the Kubernetes
client's models); CEL is evaluated by a library. Kinds that have no schema here are not looked at.
"""

from .catalog import Entry, catalog
from .nulls import without_nulls
from .validate import Violation, violations

__all__ = ["Entry", "Violation", "catalog", "violations", "without_nulls"]
