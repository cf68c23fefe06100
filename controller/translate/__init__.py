"""Objects to engine configuration, status and diagnostics: a pure function of a snapshot.

`Translator.translate` is the entry; `ir_transaction` makes what the engine is told from two results.
"""

from .. import DEFAULT_CONTROLLER_NAME
from .apply_report import ApplyReport
from .features import supported_features
from .options import (
    IMPLICIT_CLASS,
    CertificateFacts,
    Checks,
    KeySetFacts,
    Options,
    PatternFacts,
    RouteLimits,
    UsersFacts,
)
from .pem import pem_text
from .state import State, ir_transaction, is_empty
from .status import (
    Condition,
    GatewayClassStatus,
    GatewayStatus,
    ListenerSetStatus,
    ListenerStatus,
    PolicyStatus,
    RouteStatus,
    Status,
    to_document,
)
from .translation import Translation
from .translator import Take, Translator

__all__ = [
    "DEFAULT_CONTROLLER_NAME",
    "IMPLICIT_CLASS",
    "ApplyReport",
    "CertificateFacts",
    "Checks",
    "Condition",
    "GatewayClassStatus",
    "GatewayStatus",
    "KeySetFacts",
    "ListenerSetStatus",
    "ListenerStatus",
    "Options",
    "PatternFacts",
    "PolicyStatus",
    "RouteLimits",
    "RouteStatus",
    "State",
    "Status",
    "Take",
    "Translation",
    "Translator",
    "UsersFacts",
    "ir_transaction",
    "is_empty",
    "pem_text",
    "supported_features",
    "to_document",
]
