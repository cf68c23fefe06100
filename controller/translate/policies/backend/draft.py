"""A BackendPolicy while it is judged: what its parts share."""

from __future__ import annotations

from dataclasses import dataclass

from ....api import BackendPolicy, Diagnostics
from ...conditions import Reason
from ...status import Verdict
from ...values import parse_duration

ACCEPTED = Verdict(True, Reason.ACCEPTED, "The policy is accepted")


@dataclass(slots=True)
class BackendDraft:
    """The policy while it is judged."""

    policy: BackendPolicy
    diagnostics: Diagnostics
    accepted: Verdict = ACCEPTED

    def refuse(self, field: str, message: str, remedy: str) -> None:
        """Tell what cannot be honoured; the first cause stays. `field`: below `spec`."""
        self.diagnostics.error(f"spec.{field}", "invalid-policy", message, remedy)
        if self.accepted.ok:
            self.accepted = Verdict(False, Reason.INVALID, message)

    def duration(self, value: str | None, field: str) -> int:
        """Milliseconds; 0 where nothing is said."""
        if value is None:
            return 0
        found = parse_duration(value)
        if not found:
            self.refuse(field, f"{value!r} is not a duration above 0", "use a value such as 500ms or 1m30s")
        return found or 0
