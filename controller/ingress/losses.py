"""What became of each annotation and field, and what is lost: one type, from the reader of annotations to the report.

Whoever converts something names its `Cause`: so every part of the result and every loss has a file and a line.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

import msgspec

from ..api import Origin

#: What became of something. `converted-with-difference`: it works, and the message says what is not as it was.
#: `unknown-annotation`: nobody ever read it. `invalid`: it is wrong as it stands, and the source's controller did
#: without it, or refused the request.
Fate = Literal[
    "converted", "converted-with-difference", "dropped-harmless", "no-equivalent", "unknown-annotation", "invalid"
]
FATES: tuple[Fate, ...] = get_args(Fate)
#: Those that somebody has to look at: the exit status of `migrate` says whether there is one.
LOSSES: frozenset[Fate] = frozenset({"converted-with-difference", "no-equivalent", "unknown-annotation", "invalid"})
#: Those that say that nothing came of something.
_FOUND: frozenset[Fate] = frozenset({"no-equivalent", "invalid"})


#: What two answers to one request may differ in. `ingress`: the source leaves out a whole Ingress, or what shares a
#: Service with a canary; `host`, `path`: which host, or path of it, takes the request; all else may differ then.
#: `closed`: it is refused, as something could not be converted.
Aspect = Literal[
    "ingress",
    "reach",
    "host",
    "path",
    "status",
    "closed",
    "access",
    "limits",
    "redirect",
    "redirect-status",
    "redirect-slash",
    "redirect-query",
    "preflight",
    "backend",
    "target",
    "authority",
    "request-fields",
    "answer-fields",
    "mirror",
    "snippet",
]

#: Names whose nearest one is remembered: the same mistake is in every chart of a company.
MAX_REMEMBERED = 1024


class Cause(NamedTuple):
    """Where a part of the result comes from.

    Attributes:
        object: such as `Ingress/shop/web`.
        path: of the file; empty where it is a default of the source's controller.
        line: 1-based; 0 where it is not known.
        subject: annotation, key of a ConfigMap, or field such as `spec.rules[0].http.paths[1]`.
        value: as it is written; empty for fields that are no scalar.
    """

    object: str
    path: str = ""
    line: int = 0
    subject: str = ""
    value: str = ""

    @property
    def place(self) -> str:
        """File and line, or the object where there is none."""
        return f"{self.path}:{self.line}" if self.line else self.object


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one annotation or field.

    Attributes:
        object: such as `Ingress/shop/web`; the ConfigMap where a setting of it is meant.
        path: of the file; empty where it is not known.
        line: 1-based; 0 where it is not known.
        subject: annotation, key of a ConfigMap, or field of the object.
        value: as it is written; empty for fields that are no scalar.
        host: the one that it is about; empty: all of the object's.
        fate: see `Fate`.
        message: what is so.
        remedy: what to do; empty where there is nothing to do.
        touches: what answers to requests differ in where that is not what the subject is about.
    """

    object: str
    path: str = ""
    line: int = 0
    subject: str = ""
    value: str = ""
    host: str = ""
    fate: Fate
    message: str
    remedy: str = ""
    touches: tuple[Aspect, ...] = ()

    @property
    def is_loss(self) -> bool:
        """Whether somebody has to look at it."""
        return self.fate in LOSSES

    def __str__(self) -> str:
        place = f"{Origin(self.path, self.line)}: " if self.path else ""
        about = "".join(f"{part}: " for part in (self.object, self.subject, self.host) if part)
        return f"{place}{self.fate}: {about}{self.message}{f'; {self.remedy}' if self.remedy else ''}"

    def order(self) -> tuple[str, int, str, str, str, str]:
        """Sort by place: a stable order for people."""
        return (self.path, self.line, self.object, self.subject, self.host, self.message)


class Ledger:
    """Collects what is told."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._items: dict[Loss, None] = {}
        self._rows: set[Loss] = set()

    def tell(
        self,
        cause: Cause,
        fate: Fate,
        message: str,
        remedy: str = "",
        *,
        host: str = "",
        touches: tuple[Aspect, ...] = (),
        as_a_rule: bool = False,
    ) -> None:
        """Note what became of something; the same twice is told once.

        Args:
            cause: where it is written.
            fate: what became of it.
            message: what is so.
            remedy: what to do.
            host: that it is about.
            touches: what answers differ in where that is not what the subject is about.
            as_a_rule: a table says so of all of its kind: a loss that was found in this one goes before it.
        """
        found = Loss(
            object=cause.object,
            path=cause.path,
            line=cause.line,
            subject=cause.subject,
            value=cause.value,
            host=host,
            fate=fate,
            message=message,
            remedy=remedy,
            touches=touches,
        )
        self._items[found] = None
        if as_a_rule:
            self._rows.add(found)

    def done(self) -> tuple[Loss, ...]:
        """All so far, in the order of files and lines; what is lost in a part is not told as converted besides."""
        lost = {(item.object, item.subject) for item in self._items if item.is_loss}
        found = {(item.object, item.subject) for item in self._items if item.fate in _FOUND and not item.touches}
        kept = (
            item
            for item in self._items
            if (item.is_loss or (item.object, item.subject) not in lost)
            and not (item in self._rows and (item.object, item.subject) in found)
        )
        return tuple(sorted(kept, key=Loss.order))


def nearest(name: str, known: Iterable[str]) -> str:
    """The name that is most like another one, words in another order before all; empty where none is."""
    return _nearest(name, tuple(known))


@functools.lru_cache(maxsize=MAX_REMEMBERED)
def _nearest(name: str, known: tuple[str, ...]) -> str:
    words = sorted(name.split("-"))
    same = next((each for each in known if sorted(each.split("-")) == words), "")
    if same:
        return same
    found = difflib.get_close_matches(name, known, 1, 0.6)
    return found[0] if found else ""
