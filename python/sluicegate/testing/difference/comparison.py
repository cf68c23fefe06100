"""The comparison: every request is asked of both tables, and what differs is told by listener, host and rule."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple, TypeAlias

import msgspec

from sluicegate import ir

from ..request import Connection, Request
from .places import ByHost, Place, hosts_of, places_of
from .probes import Probe, connections_of, requests_of
from .seen import Aspect, Seen, differs, seen, title, words
from .side import Plane, Side

#: Requests that are asked, of one host and of all together; where there are more, some are drawn.
MAX_PER_HOST, MAX_PROBES = 4_000, 100_000
#: Groups of differences that are told; those behind them are counted.
MAX_GROUPS = 1_000

_BEHIND = "behind a policy that refuses it in both"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is another.

    Attributes:
        aspect: what it is.
        old: as it was, for people; of lists what only this one has.
        new: as it becomes.
    """

    aspect: Aspect
    old: str
    new: str


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of a listener, a host and a rule that change in the same way.

    Attributes:
        listener: that takes them in the new set, or in the old one where none does.
        host: that they ask for; `*`: one that nobody names.
        old_rule: route and rule that takes them in the old set, such as `HTTPRoute/default/shop rules[0]`; empty: none.
        new_rule: the same in the new set.
        changes: what is another; values of `answer` and `request` are those of the example.
        requests: number of those that were asked.
        example: one of them, as `explain --request` takes it.
        headers: of the example, as `explain --header` takes them.
        about: what the example looks at; empty: what the match says.
    """

    listener: str
    host: str
    old_rule: str
    new_rule: str
    changes: tuple[Change, ...]
    requests: int
    example: str
    headers: tuple[str, ...]
    about: str


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What the comparison came to.

    Attributes:
        seed: of the requests.
        made: number of requests that there were.
        asked: number of those that were asked; fewer where there were too many.
        hosts: number of hosts, and of ports of connections, that were asked for.
        unchanged: number of those for which both sets say the same, so that nothing was asked.
        different: number of requests that are answered otherwise.
        groups: number of kinds of differences; `differences` has fewer where there are too many.
        aspects: number of requests that each aspect is another of.
        differences: of most requests first.
    """

    seed: int
    made: int
    asked: int
    hosts: int
    unchanged: int
    different: int
    groups: int
    aspects: dict[Aspect, int]
    differences: tuple[Difference, ...]


#: Makes the requests of a host: those of all hosts together may be more than there is room for.
_Make: TypeAlias = Callable[[], list[Probe]]


class _Host(NamedTuple):
    """A host of a port, and what makes its requests."""

    place: Place
    name: str
    make: _Make


def compare(old: Side, new: Side, seed: int = 0) -> Comparison:
    """Ask both.

    Args:
        old: the first set.
        new: the second one.
        seed: of the requests.
    """
    wanted: list[_Host] = []
    unchanged = 0
    for place in places_of(old, new):
        for name, make in _of_place(place, seed):
            if make is None:
                unchanged += 1
            else:
                wanted.append(_Host(place, name, make))
    most = max(1, min(MAX_PER_HOST, MAX_PROBES // max(1, len(wanted))))
    made = asked = different = 0
    aspects: Counter[Aspect] = Counter()
    groups: dict[object, tuple[Difference, int]] = {}
    for item in wanted:
        chance = random.Random(f"{seed}/{item.name}/draw")  # noqa: S311 (no secret is made of it)
        planes = old.plane(item.place.port.plane), new.plane(item.place.port.plane)
        probes = item.make()
        made += len(probes)
        for probe in _drawn(probes, chance, min(most, MAX_PROBES - asked)):
            asked += 1
            found = _ask((old, new), planes, item.name, probe)
            if found is None:
                continue
            different += 1
            aspects.update(each.aspect for each in found.changes)
            key = _key(found)
            first, number = groups.get(key, (found, 0))
            # What needs no word is the best example.
            groups[key] = found if first.about and not found.about else first, number + 1
    told = [msgspec.structs.replace(item, requests=number) for item, number in groups.values()]
    told.sort(key=lambda item: (-item.requests, item.listener, item.host, item.old_rule, item.new_rule))
    return Comparison(
        seed=seed,
        made=made,
        asked=asked,
        hosts=len(wanted),
        unchanged=unchanged,
        different=different,
        groups=len(told),
        aspects=dict(sorted(aspects.items())),
        differences=tuple(told[:MAX_GROUPS]),
    )


def _of_place(place: Place, seed: int) -> Iterator[tuple[str, _Make | None]]:
    """Hosts of a port, and what makes the requests of each; None: nothing can be another for it."""
    hosts = list(hosts_of(place))
    rules = [list(half.rules.values()) for half in (place.old, place.new)]
    listeners_differ = place.old.listeners != place.new.listeners
    web = place.protocols & {ir.ListenerProtocol.HTTP, ir.ListenerProtocol.HTTPS}
    if web:
        old, new = (ByHost(each for each in half if isinstance(each, ir.HttpRule)) for half in rules)
        for host, name in hosts:
            before, after = old.of(host), new.of(host)
            is_equal = _contents(place.old.contents, before) == _contents(place.new.contents, after)
            if is_equal and not listeners_differ:
                yield name, None
                continue
            both = [each for each in (*before.values(), *after.values()) if isinstance(each, ir.HttpRule)]
            yield name, partial(requests_of, place.port, host, both, web, seed)
    if place.protocols - web:
        names = [host for host, _ in hosts]
        ask = partial(connections_of, place.port, names, place.protocols)
        yield "*", None if place.is_equal else ask


def _contents(contents: dict[str, bytes], names: Iterable[str]) -> dict[str, bytes]:
    return {name: contents[name] for name in names}


def _drawn(found: list[Probe], chance: random.Random, most: int) -> list[Probe]:
    """All of them, or those that there is room for, in their order: what matches are there for comes first."""
    if len(found) <= most:
        return found
    first = [item for item in found if item.is_first]
    if len(first) >= most:
        kept = chance.sample(first, most)
    else:
        others = [item for item in found if not item.is_first]
        kept = [*first, *chance.sample(others, most - len(first))]
    wanted = {item.asked for item in kept}
    return [item for item in found if item.asked in wanted]


def _ask(sides: tuple[Side, Side], planes: tuple[Plane, Plane], host: str, probe: Probe) -> Difference | None:
    found = [seen(side, plane, plane.decide(probe.asked)) for side, plane in zip(sides, planes, strict=True)]
    about = probe.edge
    changes = _changes(sides, found[0], found[1])
    if found[0].refused and found[1].refused:
        # What becomes of those whom the policies let pass.
        behind = [
            seen(side, plane, plane.decide_behind(probe.asked)) for side, plane in zip(sides, planes, strict=True)
        ]
        known = {item.aspect for item in changes}
        more = [item for item in _changes(sides, behind[0], behind[1]) if item.aspect not in known]
        changes = (*changes, *(item for item in more if item.aspect != "policy"))
        about = ", ".join(part for part in (about, _BEHIND if len(changes) > len(known) else "") if part)
    if not changes:
        return None
    asked = probe.asked
    if isinstance(asked, Connection):
        host = asked.server_name or host
    named = [side.named for side in sides]
    return Difference(
        listener=found[1].listener or found[0].listener,
        host=host,
        old_rule=named[0](found[0].route),
        new_rule=named[1](found[1].route),
        changes=changes,
        requests=1,
        example=title(asked),
        headers=tuple(f"{name}: {value}" for name, value in asked.headers) if isinstance(asked, Request) else (),
        about=about,
    )


def _changes(sides: tuple[Side, Side], old: Seen, new: Seen) -> tuple[Change, ...]:
    return tuple(
        Change(aspect=aspect, old=sides[0].named(words(aspect, old, new)), new=sides[1].named(words(aspect, new, old)))
        for aspect in differs(old, new)
    )


def _key(item: Difference) -> object:
    """What differences have in common that are told together."""
    of_request = {"answer", "request"}
    changes = tuple(
        (each.aspect, *(("", "") if each.aspect in of_request else (each.old, each.new))) for each in item.changes
    )
    return item.listener, item.host, item.old_rule, item.new_rule, changes
