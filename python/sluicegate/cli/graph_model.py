"""What `graph` draws: Gateways, listeners, routes, backends and policies, and what leads where.

Everything is of the translation that `check` and `explain` stand on. What is not accepted keeps its place by what its
object says, and has the reason with it. The order is that of names: the same objects make the same graph.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sluicegate.controller.api import POLICY_KINDS, ROUTE_KINDS, Diagnostic, Gateway, ListenerSet, ObjectKey, readable
from sluicegate.controller.api.names import VIRTUAL
from sluicegate.controller.translate import to_document
from sluicegate.controller.translate.conditions import ConditionType, Reason
from sluicegate.processes.serve.summary import RouteLine, listeners_of
from sluicegate.testing.offline import Offline
from sluicegate.words import MAX_NAMED

from .written_conditions import conditions_of, without_what_runs

Role = Literal["gateway", "listenerset", "listener", "route", "backend", "policy"]
#: The columns of a drawing; policies stand at what they are attached to.
COLUMNS: tuple[Role, ...] = ("gateway", "listenerset", "listener", "route", "backend")

#: Conditions that have to be true, and that may not be.
_WANTED, _UNWANTED = (
    frozenset({"Accepted", "ResolvedRefs", "Programmed"}),
    frozenset({"Conflicted", "PartiallyInvalid"}),
)
_PARENTS = ("Gateway", "ListenerSet")
_FOREIGN = "no Gateway of this name is served: what names it is attached to nothing here"
_NOT_SERVED = "none of its listeners that would take the route is served"
_NO_SERVICE = "there is no such {kind}: what is sent here is answered 500, or closed"


@dataclass(frozen=True, slots=True)
class Node:
    """One box.

    Attributes:
        id: unique; a name of an object, and what follows it.
        role: what it is.
        title: kind and name.
        lines: what else is told of it.
        problems: why it is not accepted, or not whole; empty: it is.
    """

    id: str
    role: Role
    title: str
    lines: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Edge:
    """What leads from one box to another.

    Attributes:
        source, target: ids of nodes.
        label: what is to be said of it.
        problem: why nothing goes this way; empty: something does.
        aside: it is no way of requests: copies of them, or a policy that holds.
    """

    source: str
    target: str
    label: str = ""
    problem: str = ""
    aside: bool = False


@dataclass(frozen=True, slots=True)
class Graph:
    """All of it, in an order that only the objects decide."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def graph_of(offline: Offline, refused: Mapping[str, str]) -> Graph:
    """Put the graph together.

    Args:
        offline: the objects, translated.
        refused: why objects are refused that the translation does not have, by name.
    """
    return _Drawn(offline, refused).graph()


def refusals(found: Iterable[Diagnostic], names: Iterable[str]) -> dict[str, str]:
    """Why each of some objects is refused: what is said first."""
    wanted, reasons = frozenset(names), dict[str, str]()
    for item in found:
        if item.object in wanted and item.severity == "error":
            field = f"{item.field}: " if item.field else ""
            reasons.setdefault(item.object, f"refused: {field}{item.message}")
    return reasons


class _Drawn:
    """Nodes and edges as they are found."""

    def __init__(self, offline: Offline, refused: Mapping[str, str]) -> None:
        self._offline, self._refused = offline, refused
        self._translation = offline.translation
        self._nodes: dict[str, Node] = {}
        self._edges: dict[tuple[str, str, bool], Edge] = {}
        #: Conditions that are not as one wants them, by object and what they are about there.
        self._bad: dict[ObjectKey, list[tuple[str, str]]] = {}
        self._told: dict[str, list[str]] = defaultdict(list)
        for item in offline.diagnostics():
            if item.severity != "info":
                self._told[item.object].append(item.message)
        self._matches: dict[str, dict[str, list[RouteLine]]] = defaultdict(dict)
        for listener in listeners_of(self._translation, {}):
            for line in listener.routes:
                self._matches[line.route].setdefault(listener.id, []).append(line)

    def graph(self) -> Graph:
        tables = self._translation.snapshot.tables
        for kind in _PARENTS:
            for name in sorted(tables.get(kind, ())):
                self._parent(ObjectKey(kind, *name))
        for kind in ROUTE_KINDS:
            for name in sorted(tables.get(kind, ())):
                self._route(ObjectKey(kind, *name))
        for kind in sorted(POLICY_KINDS):
            for name in sorted(tables.get(kind, ())):
                self._policy(ObjectKey(kind, *name))
        self._not_served()
        named: Callable[[str], str] = self._offline.ingresses.named if self._offline.ingresses is not None else str
        nodes = (
            Node(item.id, item.role, named(item.title), tuple(map(named, item.lines)), tuple(map(named, item.problems)))
            for item in self._nodes.values()
        )
        return Graph(tuple(nodes), tuple(self._edges.values()))

    def _add(self, node: Node) -> str:
        return self._nodes.setdefault(node.id, node).id

    def _link(self, source: str, target: str, label: str = "", problem: str = "", *, aside: bool = False) -> None:
        self._edges.setdefault((source, target, aside), Edge(source, target, label, problem, aside))

    def _status(self, key: ObjectKey) -> Mapping[str, Any]:
        made = self._translation.statuses.get(key)
        found: Mapping[str, Any] = without_what_runs(to_document(made)) if made is not None else {}
        return found

    def _faults(self, key: ObjectKey, about: str = "") -> tuple[str, ...]:
        """Conditions of an object, or of a part of it, that are not as one wants them, in words."""
        if key not in self._bad:
            self._bad[key] = list(_bad(conditions_of(self._status(key))))
        return tuple(dict.fromkeys(text for of, text in self._bad[key] if of == about))

    def _parent(self, key: ObjectKey) -> None:
        """A Gateway or a ListenerSet with its listeners."""
        found = self._translation.snapshot.get(key)
        if not isinstance(found, (Gateway, ListenerSet)):
            return
        ours = key in self._translation.statuses
        faults = self._faults(key) if ours else ("not ours: its class is of another controller, or missing",)
        role: Role = "gateway" if isinstance(found, Gateway) else "listenerset"
        own = self._add(Node(str(key), role, _title(key), problems=faults))
        if isinstance(found, ListenerSet):
            reference = found.spec.parent_ref
            self._link(self._named("Gateway", reference.namespace or key.namespace, reference.name), own)
        for listener in found.spec.listeners:
            problems = self._faults(key, f"listener {listener.name}") if ours else ()
            host = f"{listener.hostname or '*'}:{listener.port}"
            lines = (f"{listener.protocol} {host}",)
            self._link(own, self._add(Node(f"{key}/{listener.name}", "listener", listener.name, lines, problems)))

    def _named(self, kind: str, namespace: str, name: str) -> str:
        """A Gateway or a ListenerSet that something names, whether there is one or not."""
        key = ObjectKey(kind, namespace, name)
        if str(key) not in self._nodes:
            role: Role = "gateway" if kind == "Gateway" else "listenerset"
            problem = self._refused.get(str(key), _FOREIGN)
            self._add(Node(str(key), role, _title(key), problems=(problem,)))
        return str(key)

    def _route(self, key: ObjectKey) -> None:
        route: Any = self._translation.snapshot.get(key)
        served = self._matches.get(str(key), {})
        own, missed = str(key), list[str]()
        self._add(Node(own, "route", _title(key)))
        for listener in sorted(served):
            self._link(listener, own)
        parents = {_place(item["parentRef"], key): item for item in self._status(key).get("parents", ())}
        for reference in route.spec.parent_refs:
            place = (reference.kind, reference.namespace or key.namespace, reference.name, reference.section_name or "")
            if reference.kind not in _PARENTS or any(item.startswith(_prefix(place)) for item in served):
                continue
            parent = self._named(*place[:3])
            section = f"{parent}/{place[3]}" if place[3] else parent
            bad = [_told(item) for item in parents.get(place, {}).get("conditions", ()) if not _good(item)]
            problem = bad[0] if bad else _NOT_SERVED if place in parents else _FOREIGN
            missed += [f"{_title(ObjectKey(*place[:3]))}: {problem}"] if not bad else []
            self._link(section if section in self._nodes else parent, own, problem=problem)
        self._faults(key)
        problems = tuple(dict.fromkeys((*(text for _, text in self._bad[key]), *missed)))
        self._nodes[own] = Node(own, "route", _title(key), tuple(_route_lines(route, served)), problems)
        self._backends(own, key, route)

    def _backends(self, own: str, key: ObjectKey, route: Any) -> None:  # noqa: ANN401 (any kind of route)
        for rule in route.spec.rules:
            weights = sum(item.weight for item in rule.backend_refs)
            for item in rule.backend_refs:
                label = f"{item.weight} of {weights}" if len(rule.backend_refs) > 1 else ""
                self._link(own, self._backend(item, key.namespace), label)
            for entry in getattr(rule, "filters", ()):
                if entry.request_mirror is not None:
                    target = self._backend(entry.request_mirror.backend_ref, key.namespace)
                    self._link(own, target, "mirror", aside=True)

    def _backend(self, reference: Any, namespace: str) -> str:  # noqa: ANN401 (any kind of reference)
        key = ObjectKey(reference.kind, reference.namespace or namespace, reference.name)
        port = f":{reference.port}" if reference.port is not None else ""
        node = f"{key}{port}"
        if node not in self._nodes:
            problems = tuple(self._told[str(key)][:1])
            if self._translation.snapshot.get(key) is None:
                problems = (self._refused.get(str(key), _NO_SERVICE.format(kind=key.kind)),)
            self._add(Node(node, "backend", f"{_title(key)}{port}", problems=problems))
        return node

    def _policy(self, key: ObjectKey) -> None:
        policy: Any = self._translation.snapshot.get(key)
        targets = getattr(policy, "targets", None)
        if targets is None:
            references = getattr(policy.spec, "target_refs", None)
            if references is None:
                return  # a filter: rules name it
            targets = [(item.kind, key.namespace, item.name, item.section_name or "") for item in references]
        self._faults(key)
        reasons = [getattr(policy, "reason", ""), *(text for _, text in self._bad[key])]
        problems = tuple(dict.fromkeys(filter(None, reasons)))[:MAX_NAMED] or tuple(self._told[str(key)][:1])
        own = self._add(Node(str(key), "policy", _title(key), problems=problems))
        for target in targets:
            for node in self._targets(*target):
                section = target[3] if self._nodes[node].role in {"route", "backend"} else ""
                self._link(own, node, section, aside=True)

    def _targets(self, kind: str, namespace: str, name: str, section: str) -> Iterator[str]:
        """Nodes that a policy is attached to: of a Service those of its ports."""
        whole = f"{kind}/{namespace}/{name}"
        if kind in _PARENTS and section and f"{whole}/{section}" in self._nodes:
            yield f"{whole}/{section}"
        elif whole in self._nodes:
            yield whole
        else:
            yield from [node for node in self._nodes if node.rpartition(":")[0] == whole]

    def _not_served(self) -> None:
        """Objects that the API server would not take: they have a place, and lead nowhere."""
        roles: dict[str, Role] = {"Gateway": "gateway", "ListenerSet": "listenerset"}
        roles.update((kind, "route") for kind in ROUTE_KINDS)
        roles.update((kind, "policy") for kind in POLICY_KINDS)
        for name, reason in sorted(self._refused.items()):
            key = ObjectKey.parse(name)
            # One that was read has its reasons, and its other copy is not it.
            if key.kind in roles and not key.name.startswith(VIRTUAL) and self._translation.snapshot.get(key) is None:
                self._add(Node(name, roles[key.kind], _title(key), problems=(reason,)))


def _title(key: ObjectKey) -> str:
    return readable(f"{key.kind} {key.namespace}/{key.name}" if key.namespace else f"{key.kind} {key.name}")


def _good(item: Mapping[str, Any]) -> bool:
    kind, status = item["type"], item["status"]
    return (kind not in _WANTED or status == "True") and (kind not in _UNWANTED or status != "True")


def _bad(conditions: Iterable[tuple[str, Mapping[str, Any]]]) -> Iterator[tuple[str, str]]:
    """Conditions that are not as one wants them, in words; what several say is told once."""
    said: set[tuple[str, str]] = set()
    for of, item in sorted(conditions, key=lambda entry: entry[1]["type"] == ConditionType.PROGRAMMED):
        # What is not accepted is not programmed either; that of its parent is told there.
        known = item["type"] == ConditionType.PROGRAMMED and any(about == of for about, _ in said)
        if known or item["reason"] == Reason.PARENT_NOT_PROGRAMMED or _good(item):
            continue
        if (of, item["message"]) not in said:
            said.add((of, item["message"]))
            yield of, _told(item)


def _told(item: Mapping[str, Any]) -> str:
    return f"{item['type']}={item['status']} ({item['reason']}): {item['message']}"


def _place(reference: Mapping[str, Any], route: ObjectKey) -> tuple[str, str, str, str]:
    namespace = reference.get("namespace") or route.namespace
    return (reference["kind"], namespace, reference["name"], reference.get("sectionName") or "")


def _prefix(place: Sequence[str]) -> str:
    """What ids of the listeners begin with that a `parentRef` means."""
    return "/".join(place) if place[3] else "/".join(place[:3]) + "/"


def _route_lines(route: Any, served: Mapping[str, Sequence[RouteLine]]) -> Iterator[str]:  # noqa: ANN401 (any kind)
    hostnames = getattr(route.spec, "hostnames", ())
    if hostnames:
        more = f" and {len(hostnames) - MAX_NAMED:,} more" if len(hostnames) > MAX_NAMED else ""
        yield f"hostnames {', '.join(hostnames[:MAX_NAMED])}{more}"
    if served:
        yield f"on {', '.join(sorted({name.rpartition('/')[2] for name in served}))}"
    matches = list(
        dict.fromkeys(f"{line.match} → {', '.join(line.backends)}" for own in served.values() for line in own)
    )
    yield from matches[:MAX_NAMED]
    if len(matches) > MAX_NAMED:
        yield f"and {len(matches) - MAX_NAMED:,} more matches"
