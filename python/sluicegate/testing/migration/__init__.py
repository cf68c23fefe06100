"""`sluicegate migrate --verify`: the same requests are asked of a model of the source and of the converted table.

`world` gives the manifests what they name and nobody gave, `converted` asks the native table, `compare` says what two
answers differ in, `named` which losses say so and `everywhere` what is different for every host. `verify` runs it.
"""

from .everywhere import EVERYWHERE, Everywhere
from .verify import MAX_TOLD, Difference, Verification, verify

__all__ = ["EVERYWHERE", "MAX_TOLD", "Difference", "Everywhere", "Verification", "verify"]
