"""Data planes that could not be provisioned: why, by Gateway, and when each is tried again, later each time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..api import ObjectKey
from ..complain import Complain

#: Seconds before the first and the longest wait after a failure.
FIRST_RETRY, LONGEST_RETRY = 1.0, 60.0

#: Takes an object, `Normal` or `Warning`, a reason and a message.
Tell = Callable[[ObjectKey, str, str, str], None]


@dataclass(slots=True)
class _Trouble:
    """Why one could not be provisioned, and how long to wait."""

    messages: Mapping[ObjectKey, str]
    wait: float


class Troubles:
    """Keeps them, by `namespace/name` of the data plane.

    Attributes:
        failures: why, by Gateway; replaced, never changed: any thread may look at it.
    """

    def __init__(
        self,
        again: Callable[[str], None],
        complain: Complain,
        changed: Callable[[], None] | None = None,
        tell: Tell | None = None,
    ) -> None:
        """Begin without any.

        Args:
            again: called with one that is to be tried again.
            complain: takes a code and a message.
            changed: called when `failures` changed.
            tell: takes events about Gateways.
        """
        self._again = again
        self._complain = complain
        self._changed = changed
        self._tell = tell
        self._known: dict[str, _Trouble] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.failures: Mapping[ObjectKey, str] = {}

    def postpone(self, name: str) -> None:
        """One could not be written now: what is said of it stays."""
        known = self._known.get(name)
        self.add(name, known.messages if known is not None else {})

    def add(self, name: str, messages: Mapping[ObjectKey, str]) -> None:
        """One could not be provisioned, and why, by Gateway."""
        known = self._known.get(name)
        wait = FIRST_RETRY if known is None else min(known.wait * 2, LONGEST_RETRY)
        self._known[name] = _Trouble(messages, wait)
        self._cancel(name)
        self._timers[name] = asyncio.get_running_loop().call_later(wait, self._again, name)
        if known is None or known.messages != messages:
            for gateway, message in messages.items():
                self._complain("provisioning_failed", f"{gateway}: {message}", object=str(gateway))
                if self._tell is not None:
                    self._tell(gateway, "Warning", "ProvisioningFailed", message)
            self._publish()

    def forget(self, name: str) -> None:
        """A data plane is well, or nobody's business."""
        self._cancel(name)
        if self._known.pop(name, None) is not None:
            self._publish()

    def clear(self) -> None:
        """Forget all, without a word: another process leads."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._known.clear()
        self.failures = {}

    def _cancel(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _publish(self) -> None:
        known = self._known.values()
        self.failures = {key: text for trouble in known for key, text in trouble.messages.items()}
        if self._changed is not None:
            self._changed()
