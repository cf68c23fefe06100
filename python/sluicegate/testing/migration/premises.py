"""What names a difference: losses by themselves, or losses together with something that holds before any of them.

Such a premise is no excuse for everything: the source is asked again as if it did that one thing as the gateway does,
and what still differs then has to be named by itself.

- `path`: paths with `//`, dots or `%` are matched decoded there, and in their plain form here.
- What the source leaves out, which the losses of `ingress` name: Ingresses that it does not take, paths whose Service
  is a canary's too. It is converted as if the source took it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple
from urllib.parse import quote, unquote

import msgspec

from sluicegate.controller.ingress import Loss
from sluicegate.controller.ingress.losses import Aspect
from sluicegate.controller.ingress.model import Model, Objects
from sluicegate.controller.ingress.probes import Answer, Probe
from sluicegate.engine.native import search_expression

from .compare import differences
from .converted import Told
from .named import Losses

_ODD = re.compile(r"//|/\.{1,2}(?:/|$)|%")
#: What stays as it is in a path, besides letters and digits (RFC 3986, 3.3).
_PLAIN = "/-._~!$&'()*+,;=:@"
_BAD_REQUEST = 400


class _Premise(NamedTuple):
    """What the two would answer, were one thing alike."""

    names: tuple[str, ...]
    probe: Probe
    theirs: Answer
    ours: Told


class Naming:
    """What names the differences of a conversion.

    Attributes:
        model: of the source.
    """

    def __init__(self, objects: Objects, losses: Iterable[Loss], hosts: Mapping[str, frozenset[str]]) -> None:
        """Take what the source has, and what is told; `hosts`: the Ingresses that name each."""
        self.model = Model(objects, search_expression)
        self._losses = Losses.of(losses, hosts, {*map(str, self.model.refused)})
        self._taken = Model(objects, search_expression, lenient=True) if self._losses.has_refused else None

    def names(self, probe: Probe, theirs: Answer, ours: Told, different: Iterable[Aspect]) -> tuple[str, ...] | None:
        """What names a difference; None: something of it nobody names.

        Args:
            probe: the request.
            theirs: the source's answer.
            ours: that of the converted table.
            different: what they differ in.
        """
        found = self._losses.naming(probe, theirs, ours, different)
        if found is not None:
            return found
        for premise in self._premises(probe, theirs, ours):
            left = differences(premise.probe, premise.theirs, premise.ours.answer)
            rest = self._losses.naming(premise.probe, premise.theirs, premise.ours, left) if left else ()
            if rest is not None:
                return tuple(dict.fromkeys((*premise.names, *rest)))
        return None

    def _premises(self, probe: Probe, theirs: Answer, ours: Told) -> Iterator[_Premise]:
        odd = _is_odd(probe.target) or _is_odd(theirs.target)
        if odd:
            if ours.answer.status == _BAD_REQUEST:
                yield _Premise(("path",), probe, ours.answer, ours)
            yield self._plain(self.model, probe, ours, ())
        if self._taken is None:
            return
        there = self._taken.answer(probe)
        refused = self._losses.of_refused(probe, there, ours)
        if refused:
            yield _Premise(refused, probe, there, ours)
            if odd or _is_odd(there.target):
                yield self._plain(self._taken, probe, ours, refused)

    def _plain(self, model: Model, probe: Probe, ours: Told, names: tuple[str, ...]) -> _Premise:
        """As if a request had the plain form of its path, which has an encoded `/` for itself."""
        asked = msgspec.structs.replace(probe, target=_plain(probe.target).replace("%2F", "%252F"))
        theirs = model.answer(asked)
        made = [_in_plain_form(item) for item in (theirs, ours.answer)]
        return _Premise(("path", *names), asked, made[0], ours._replace(answer=made[1]))


def _is_odd(target: str) -> bool:
    return _ODD.search(target.partition("?")[0]) is not None


def _in_plain_form(answer: Answer) -> Answer:
    scheme, mark, rest = answer.location.partition("://")
    host, slash, path = rest.partition("/")
    location = f"{scheme}{mark}{host}{_plain(slash + path)}" if mark else answer.location
    target = _plain(answer.target) if answer.target else ""
    return msgspec.structs.replace(answer, target=target, location=location)


def _plain(target: str) -> str:
    """A target whose path has no `//`, no dots, and nothing encoded that need not be; `/` stays encoded."""
    path, mark, query = target.partition("?")
    kept: list[str] = []
    path = path.replace("%252F", "%2F")
    segments = [unquote(item, "latin-1") for item in re.sub(r"/+", "/", path).split("/")[1:]]
    for number, segment in enumerate(segments):
        if segment == "..":
            kept[-1:] = []
        elif segment != ".":
            kept.append(segment)
            continue
        if number == len(segments) - 1:
            kept.append("")
    written = "".join("/" + quote(item.encode("latin-1"), safe=_PLAIN).replace("/", "%2F") for item in kept)
    return f"{written or '/'}{mark}{query}"
