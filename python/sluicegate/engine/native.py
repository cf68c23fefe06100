"""The one door to the native engine.

Nothing else imports `sluicegate._native` (import-linter enforces it). Calls that may wait are offered as coroutines,
which run them on a thread; the native side detaches from the interpreter by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from . import allocator  # noqa: F401 (before the library is loaded)  # isort: skip
from sluicegate._native import (
    IR_VERSION,
    Refused,
    RouteTable,
    Rule,
    RuleScope,
    check_expression,
    check_substitution,
    check_token,
    search_expression,
)
from sluicegate._native import Engine as _Engine
from sluicegate._native import check_certificate as _check_certificate
from sluicegate._native import check_key_set as _check_key_set
from sluicegate._native import check_pattern as _check_pattern
from sluicegate._native import check_trust as _check_trust
from sluicegate._native import check_users as _check_users
from sluicegate._native import self_signed as _self_signed
from sluicegate.ir import ListenerReport

__all__ = [
    "IR_VERSION",
    "CertificateFacts",
    "Engine",
    "Event",
    "KeySetFacts",
    "KeySetState",
    "PatternFacts",
    "Refused",
    "Report",
    "RouteTable",
    "Rule",
    "RuleScope",
    "TrustFacts",
    "UsersFacts",
    "check_certificate",
    "check_expression",
    "check_key_set",
    "check_pattern",
    "check_substitution",
    "check_token",
    "check_trust",
    "check_users",
    "search_expression",
    "self_signed",
]


class Report(msgspec.Struct, frozen=True):
    """A transaction that was applied. `apply_seconds` counts from bytes to live."""

    generation: int
    apply_seconds: float
    listeners: list[ListenerReport]


class Event(msgspec.Struct, frozen=True):
    """Something that happened in the engine.

    Attributes:
        code: stays.
        message: for people.
        about: what is in this state now, of what comes and goes; empty: nothing.
    """

    code: str
    message: str
    about: str = ""


class KeySetState(msgspec.Struct, frozen=True):
    """How the keys are that an identity provider publishes.

    Attributes:
        source: who is asked, and for what: `<backend><path>`.
        keys: how many verify now.
        key_ids: ids of those that have one.
        skipped: keys that verify nothing, and why.
        age_seconds: since they were fetched; None: they never were.
        failures: fetches that have failed since one was good.
        last_error: why the last one has; None: it was good.
    """

    source: str
    keys: int
    key_ids: list[str]
    skipped: list[str]
    age_seconds: int | None
    failures: int
    last_error: str | None


class CertificateFacts(msgspec.Struct, frozen=True):
    """What is known of a certificate. Times are seconds since 1970."""

    error: str | None
    names: list[str]
    not_before: int
    not_after: int


class UsersFacts(msgspec.Struct, frozen=True):
    """What is known of an htpasswd file: why it cannot be used, how many users it has, which have weak hashes."""

    error: str | None
    users: int
    weak: list[str]


class KeySetFacts(msgspec.Struct, frozen=True):
    """What is known of a JWK Set: why none of its keys can verify, or what is wrong with keys beside those that can."""

    error: str | None
    unusable: str


class PatternFacts(msgspec.Struct, frozen=True):
    """What is known of a regular expression; `size`: bytes that it takes once it is compiled."""

    error: str | None
    size: int


class TrustFacts(msgspec.Struct, frozen=True):
    """What is known of a bundle of CA certificates."""

    error: str | None
    count: int


def self_signed(names: Sequence[str]) -> tuple[str, str]:
    """A certificate for DNS names and IP addresses that its own key signs, and the key, both PEM.

    Raises:
        ValueError: a name that no certificate can have.
    """
    return _self_signed(list(names))


def check_certificate(chain: str, key: str) -> CertificateFacts:
    """Facts of a certificate chain and its key, both PEM; `error` says why it cannot be served."""
    return msgspec.json.decode(_check_certificate(chain, key), type=CertificateFacts)


def check_users(file: str) -> UsersFacts:
    """Look at an htpasswd file."""
    return msgspec.json.decode(_check_users(file), type=UsersFacts)


def check_key_set(text: str) -> KeySetFacts:
    """Look at a JWK Set."""
    return msgspec.json.decode(_check_key_set(text), type=KeySetFacts)


def check_pattern(pattern: str) -> PatternFacts:
    """Facts of a regular expression (RE2 syntax); `error` says why it cannot be used."""
    return msgspec.json.decode(_check_pattern(pattern), type=PatternFacts)


def check_trust(pem: str) -> TrustFacts:
    """Facts of a bundle of CA certificates, PEM."""
    return msgspec.json.decode(_check_trust(pem), type=TrustFacts)


class Engine:
    """A running gateway. Blocking calls have a coroutine beside them."""

    def __init__(self, settings: dict[str, Any] | None = None) -> None:
        """Start the workers.

        Args:
            settings: fields of `native/core/src/settings.rs`; absent ones have their default.

        Raises:
            ValueError: an unknown setting, or one of the wrong type or out of its bounds; it says which are allowed.
            OSError: the system refuses a thread or the log file.
        """
        self._native = _Engine(msgspec.json.encode(settings or {}))

    @property
    def admin_address(self) -> str | None:
        """`address:port` of the admin listener, if it could be bound."""
        return self._native.admin_address

    @property
    def access_log(self) -> bool:
        """The access log is on."""
        return self._native.access_log

    @access_log.setter
    def access_log(self, enabled: bool) -> None:
        self._native.set_access_log(enabled)

    def apply(self, transaction: bytes) -> Report:
        """Apply an IR transaction, all of it or nothing.

        Raises:
            Refused: `args[0]` is a JSON list of `{kind, id, reason}`; the configuration before goes on serving.
        """
        return msgspec.json.decode(self._native.apply(transaction), type=Report)

    def retry_binds(self) -> list[ListenerReport]:
        """Try the ports again that could not be bound."""
        return msgspec.json.decode(self._native.retry_binds(), type=list[ListenerReport])

    def metrics(self) -> str:
        """The metrics in the Prometheus text format."""
        return self._native.metrics()

    def key_sets(self) -> list[KeySetState]:
        """How the keys are that identity providers publish, by source."""
        return msgspec.json.decode(self._native.key_sets(), type=list[KeySetState])

    def control_side(self, unusable: int, caught: int) -> None:
        """Say for `/metrics` what cannot be used now (objects, files), and how many exceptions were caught so far."""
        self._native.control_side(unusable, caught)

    def poll_events(self, limit: int = 256) -> list[Event]:
        """Take up to `limit` events, oldest first."""
        return msgspec.json.decode(self._native.poll_events(limit), type=list[Event])

    def reopen_access_log(self) -> bool:
        """Open the path of the access log anew, as after a rotation.

        Returns:
            False where the log is not a file.

        Raises:
            OSError: it cannot be opened; lines go on to the file that is open.
        """
        return self._native.reopen_access_log()

    def drain(self, limit: float, settle: float = 0.0, *, settle_alone: bool = True) -> bool:
        """Ask clients to go while accepting; accept no more; close what is idle after 2 s; wait for the rest.

        Args:
            limit: seconds for all of it, up to 86,400 (a day).
            settle: seconds in which new connections are still taken, up to as many.
            settle_alone: even where no connection is open: balancers may still send some.

        Returns:
            True when every connection ended by itself.

        Raises:
            ValueError: a time that is no number, negative or too long.
        """
        return self._native.drain(limit, settle, settle_alone)

    async def drain_async(self, limit: float, settle: float = 0.0, *, settle_alone: bool = True) -> bool:
        """As `drain`, without blocking the event loop."""
        return await asyncio.to_thread(self.drain, limit, settle, settle_alone=settle_alone)

    def shutdown(self) -> None:
        """Stop everything. Harmless when called twice."""
        self._native.shutdown()

    async def shutdown_async(self) -> None:
        """As `shutdown`, without blocking the event loop."""
        await asyncio.to_thread(self.shutdown)
