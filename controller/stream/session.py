"""One data plane pod on the stream, without the stream: what it has, what it should have, what is under way.

Rules:
- One transaction is under way at a time; what changes meanwhile is gathered, so a slow pod gets the newest state next
  and nothing queues up.
- What a pod has is what it acknowledged. A transaction that it refuses leaves that as it was. What it says it refuses
  of it is held at what the pod has, and the rest comes anew at once: one bad resource keeps no other from the pod. What
  is held is tried again when anything changes that it may depend on.
- A pod that resumes says which versions it has, so it gets the difference only.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sluicegate.ir import Refusal

from .. import caught
from .messages import AnyMessage, Request, Resource, Response
from .plane import REPLICAS, Changed, Node, Plane
from .protocol import (
    CHUNK,
    GENERATION,
    REPORT,
    SECTIONS,
    PlaneReport,
    read_refusals,
    read_report,
    section_of,
    type_url,
)

#: Resources that are held for one pod, and transactions for one change until what it refuses is found. Beyond that the
#: pod stays at what it has. Stops a pod that refuses one thing after the other.
MAX_HELD, MAX_TRIES = 1_024, 16
#: The section of a resource by the word with which an engine refuses it.
SECTION_OF = {
    "listener": "listeners",
    "attachment": "attachments",
    "http_rule": "http_rules",
    "l4_rule": "l4_rules",
    "backend": "backends",
    "endpoint": "endpoints",
    "policy": "policies",
    "session_tickets": "session_tickets",
}
#: What others name: when some of it changes, what was refused may be taken.
NAMED = frozenset({"listeners", "attachments", "backends", "policies"})
#: Requests in a second that nobody asked for; further ones wait. Stops a pod that keeps the controller busy.
MAX_UNASKED = 50


class Budget:
    """How often a pod may speak: once for each response that it got, and some times in a second besides."""

    def __init__(self, now: float) -> None:
        """Begin at a time (seconds of a monotonic clock)."""
        self._begun = now
        self._unasked = 0
        self._owed = 0

    def ask(self, responses: int) -> None:
        """So many answers are awaited now; what was awaited before is not any more."""
        self._owed = responses

    def take(self, now: float) -> float:
        """Count a request; returns the seconds that the next one has to wait."""
        if self._owed:
            self._owed -= 1
            return 0.0
        if now - self._begun >= 1.0:
            self._begun, self._unasked = now, 0
        self._unasked += 1
        return self._begun + 1.0 - now if self._unasked >= MAX_UNASKED else 0.0


class ProtocolError(Exception):
    """The other side does not keep to the protocol; the message says how."""


@dataclass(frozen=True, slots=True)
class _Transaction:
    """What was sent and is not answered yet; `content`: versions by section and id, None for what is removed."""

    nonce: str
    content: Mapping[str, Mapping[str, str | None]]
    generation: int


@dataclass(slots=True)
class Session:
    """What is known of one pod.

    Attributes:
        sections: those that it asked for; others are never sent.
        has: versions that it acknowledged, by section and id.
        report: what it last said of its listeners.
        refusals: why it refused the last transaction as a whole; empty where it took it, but for what is held.
        held: what it refused of it, by section and id.
        accepted: it took a transaction at least once.
        generation: of the transaction that it took last; 0: it took none yet.
    """

    sections: dict[str, None] = field(default_factory=dict)
    has: dict[str, dict[str, str]] = field(default_factory=dict)
    report: PlaneReport = field(default_factory=PlaneReport)
    refusals: tuple[Refusal, ...] = ()
    accepted: bool = False
    generation: int = 0
    held: dict[Node, Refusal] = field(default_factory=dict)
    _held_at: dict[Node, str | None] = field(default_factory=dict)
    _tries: int = 0
    _noted: tuple[bool, tuple[Refusal, ...], dict[Node, Refusal]] = field(default=(False, (), {}))
    _pending: dict[str, set[str]] = field(default_factory=dict)
    _wanted: bool = False
    _under_way: _Transaction | None = None
    _nonces: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def subscribe(self, request: Request) -> bool:
        """Take one of the first requests; returns whether it was the last of them.

        Raises:
            ProtocolError: it subscribes to nothing.
        """
        section = section_of(request.type_url)
        if section is None:
            if request.type_url.startswith("type.sluicegate.dev/"):
                raise ProtocolError(
                    f"the data plane speaks {request.type_url.rpartition('/')[0]}, this controller another version: "
                    "run the same release of both"
                )
            return False  # somebody else's type: nothing is sent for it
        if section == GENERATION:
            if not self.sections:
                raise ProtocolError("no section of the configuration was subscribed to")
            self._pending = {item: set(self.has[item]) for item in self.sections}
            return True
        if section in SECTIONS:
            self.sections[section] = None
            self.has[section] = {item.key: item.value for item in request.initial_resource_versions}
        return False

    def begin(self, plane: Plane) -> None:
        """Want everything that the plane has; the first transaction comes even where nothing differs."""
        for section in self.sections:
            self._pending.setdefault(section, set()).update(plane.tables[section])
        self._wanted = True

    def touch(self, changed: Changed) -> None:
        """Something of the plane changed."""
        for section, names in changed.items():
            if section in self.sections:
                self._pending.setdefault(section, set()).update(names)
                self._wanted = True
                if self._held_at and (section in NAMED or any((section, name) in self._held_at for name in names)):
                    self._let_go()
        self._tries = 0

    @property
    def waiting(self) -> bool:
        """A transaction is under way."""
        return self._under_way is not None

    @property
    def behind(self) -> bool:
        """It has not acknowledged all that is wanted of it."""
        return self._wanted or self._under_way is not None or not self.accepted

    def next(self, plane: Plane, generation: int) -> list[Response] | None:
        """The responses of the next transaction; None where one is under way or nothing is to be said.

        One without resources is said to a pod that took none yet, or that refused what is not wanted any more.
        """
        if self._under_way is not None or not self._wanted:
            return None
        self._wanted = False
        content: dict[str, dict[str, str | None]] = {}
        responses: list[Response] = []
        for section in self.sections:
            if section == REPLICAS and not plane.tables[section]:
                continue  # it is not known yet: what the pod has stays
            names = self._pending.pop(section, set())
            difference = self._difference(plane, section, names)
            if difference:
                content[section] = difference
                responses.extend(self._responses(plane, section, difference))
        if not content and self.accepted and not self.refusals:
            return None
        nonce = str(next(self._nonces))
        self._under_way = _Transaction(nonce, content, generation)
        end = Response(type_url=type_url(GENERATION), nonce=nonce, system_version_info=str(generation))
        end.resources.append(Resource(name=GENERATION, version=str(generation)))
        return [*responses, end]

    def take(self, request: Request) -> bool:
        """Take a request after the first ones; returns whether what is known of the pod changed.

        Raises:
            ProtocolError: it is none that may come.
        """
        section = section_of(request.type_url)
        if section == REPORT:
            try:
                report = read_report(request)
            except caught.UNREADABLE as error:
                raise ProtocolError(f"a report that cannot be read: {error}") from None
            changed, self.report = report != self.report, report
            return changed
        if section != GENERATION:
            return False  # resources are taken together, with the generation
        under_way = self._under_way
        if under_way is None or request.response_nonce != under_way.nonce:
            raise ProtocolError("an answer to a transaction that is not under way")
        self._under_way = None
        if request.error_detail is not None:
            refusals = read_refusals(request)
            for name, items in under_way.content.items():
                self._pending.setdefault(name, set()).update(items)
            if self._hold(refusals, under_way):
                self._wanted = True
            else:
                self.refusals = refusals
                self._let_go()
        else:
            self.refusals = ()
            self.accepted = True
            self.generation = under_way.generation
            self._keep(under_way)
        before, self._noted = self._noted, (self.accepted, self.refusals, self.held)
        return before != self._noted

    def _hold(self, refusals: Iterable[Refusal], transaction: _Transaction) -> bool:
        """Hold what a pod refuses; returns whether that is more than before, so that the rest may be taken."""
        held, held_at = dict(self.held), dict(self._held_at)
        for item in refusals:
            section = SECTION_OF.get(item.kind, "")
            if item.id in transaction.content.get(section, {}):
                held[section, item.id] = item
                held_at[section, item.id] = transaction.content[section][item.id]
        self._tries += 1
        if len(held) == len(self.held) or len(held) > MAX_HELD or self._tries > MAX_TRIES:
            return False
        self.held, self._held_at = held, held_at
        return True

    def _let_go(self) -> None:
        """Want everything again that is held."""
        for section, name in self._held_at:
            self._pending.setdefault(section, set()).add(name)
        self.held, self._held_at = {}, {}

    def _keep(self, transaction: _Transaction) -> None:
        for section, items in transaction.content.items():
            table = self.has[section]
            for name, version in items.items():
                if version is None:
                    table.pop(name, None)
                else:
                    table[name] = version

    def _difference(self, plane: Plane, section: str, names: Iterable[str]) -> dict[str, str | None]:
        wanted, has = plane.tables[section], self.has[section]
        found: dict[str, str | None] = {}
        for name in sorted(names):
            item = wanted.get(name)
            version = item.version if item is not None else None
            if (section, name) in self._held_at and self._held_at[section, name] == version:
                continue
            if item is None:
                if name in has:
                    found[name] = None
            elif has.get(name) != item.version:
                found[name] = item.version
        return found

    def _responses(self, plane: Plane, section: str, difference: Mapping[str, str | None]) -> Iterator[Response]:
        """The difference of one section, in responses of a bounded size."""
        table = plane.tables[section]
        response, size = self._response(section), 0
        for name, version in difference.items():
            data = table[name].data if version is not None else b""
            if size and size + len(data) + len(name) > CHUNK:
                yield response
                response, size = self._response(section), 0
            size += len(data) + len(name)
            if version is None:
                response.removed_resources.append(name)
            else:
                content = AnyMessage(response.type_url, data)
                response.resources.append(Resource(version, content, name))
        yield response

    def _response(self, section: str) -> Response:
        return Response(type_url=type_url(section), nonce=str(next(self._nonces)))
