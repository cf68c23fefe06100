"""The lines of `serve --output json` that carry what is served; their schema is published (`docs/schemas`).

Every line has `event` and `time` besides, which the log writes; lines of other events have `message`, and `code` where
`event` is `warning` or `error`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from sluicegate.controller.api import Diagnostic

from .summary import ListenerLine

#: Version of the lines: it changes where a field is taken away or means something else, not where one is added.
Format = Literal["sluicegate.dev/serve/v1"]


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """What is there.

    Attributes:
        objects: number of objects in use.
        ignored: number of documents of each `apiVersion/kind` that the gateway has no use for.
        listeners: those of all Gateways, with what they serve.
        problems: all that is wrong.
        hints: what to look at where nothing is served.
    """

    objects: int
    ignored: dict[str, int]
    listeners: list[ListenerLine]
    problems: list[Diagnostic]
    hints: list[str]


class Ready(Served, frozen=True, kw_only=True):
    """`event` is `ready`: the first line once everything was read and applied.

    Attributes:
        format: of the lines.
        version: of the program.
        admin: address and port of the admin listener; null where there is none.
        seconds: since the start.
        generation: of the configuration that is live.
    """

    format: Format = "sluicegate.dev/serve/v1"
    version: str
    admin: str | None
    seconds: float
    generation: int


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """`event` is `changed`: what a change of files came to.

    Attributes:
        generation: of the configuration that is live by it; null where the change is none for the engine.
        seconds: from the look at the files until it was live.
        apply_seconds: of these in the engine; null where it had nothing to apply.
        objects: that are new, different or gone.
        problems: that are new.
        solved: problems that are gone.
        listeners: as in `ready`; null where the engine had nothing to apply.
    """

    generation: int | None
    seconds: float
    apply_seconds: float | None
    objects: list[str]
    problems: list[Diagnostic]
    solved: list[Diagnostic]
    listeners: list[ListenerLine] | None
