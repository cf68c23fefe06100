"""Label selectors that select nothing sensible: what the API server asks of its own kinds and of no CRD.

Source: `ValidateLabelSelector` of `k8s.io/apimachinery/pkg/apis/meta/v1/validation`, `IsQualifiedName` and
`IsValidLabelValue` of `k8s.io/apimachinery/pkg/util/validation`.
"""

from __future__ import annotations

from ..api import LabelSelector
from ..api.names import is_label_value, is_qualified

#: Operators that need values, and those that have none.
_WITH_VALUES = frozenset({"In", "NotIn"})
_WITHOUT_VALUES = frozenset({"Exists", "DoesNotExist"})


def selector_fault(selector: LabelSelector | None) -> tuple[str, str] | None:
    """What is wrong with the selector of `from: Selector`, and in which field of it; None: nothing."""
    if selector is None:
        return "", "from: Selector needs a selector"
    for key, value in selector.match_labels.items():
        if not is_qualified(key):
            return f'.matchLabels["{key}"]', f"{key} is not the key of a label"
        if not is_label_value(value):
            return f'.matchLabels["{key}"]', f"{value} is not the value of a label"
    for index, item in enumerate(selector.match_expressions):
        field = f".matchExpressions[{index}]"
        if item.operator not in _WITH_VALUES | _WITHOUT_VALUES:
            known = ", ".join(sorted(_WITH_VALUES | _WITHOUT_VALUES))
            return f"{field}.operator", f"operator {item.operator} is not known, only {known}"
        if item.operator in _WITHOUT_VALUES and item.values:
            return f"{field}.values", f"operator {item.operator} takes no values"
        if item.operator in _WITH_VALUES and not item.values:
            return f"{field}.values", f"operator {item.operator} needs values"
        if not is_qualified(item.key):
            return f"{field}.key", f"{item.key} is not the key of a label"
        for place, value in enumerate(item.values):
            if not is_label_value(value):
                return f"{field}.values[{place}]", f"{value} is not the value of a label"
    return None
