"""What a process shows of itself: the page and its API are made of this (`sluicegate.cli.page`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from sluicegate.controller.api import Diagnostic
from sluicegate.controller.stream.figures import Figures
from sluicegate.controller.translate import Translation
from sluicegate.observe.aside import Make
from sluicegate.observe.figures import read_figures

from ..engine.limits import PathNormalization
from .serving_engine import Page

if TYPE_CHECKING:
    from .ingress import Ingresses


class Written(Protocol):
    """An object as somebody wrote it."""

    @property
    def data(self) -> dict[str, Any]:
        """What it says."""


class ServingPod(NamedTuple):
    """One that serves, and how near it is to the newest configuration.

    Attributes:
        data_plane: `<namespace>/<name>`; empty: it is this process.
        name: of the pod; empty: this process, or no pod of the data plane is connected.
        state: `current`; `behind`: it was sent what it has not acknowledged, or waits for it; `refused`: it keeps what
            it had, all or a part; `away`: none is connected.
        generation: number of the transaction that it took last; 0: none that is known.
        reason: why it is not current.
    """

    data_plane: str
    name: str
    state: Literal["current", "behind", "refused", "away"]
    generation: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Viewed:
    """One moment of a process.

    Attributes:
        role: what runs.
        version: of this program.
        translation: that is live, with what engines reported.
        diagnostics: all that is wrong.
        documents: gives the manifests as they are written; a cluster has none.
        with_lines: puts what is told of objects at the lines of its fields; a cluster has none.
        pods: that serve.
        generation: number of the newest configuration.
        changed: when it came, seconds since 1970; 0: not known.
        port_offset, path_normalization: the settings of these names.
        ingresses: that are served as well; None: none are.
    """

    role: Literal["serve", "serve --kubernetes", "controller"]
    version: str
    translation: Translation
    diagnostics: tuple[Diagnostic, ...]
    documents: Callable[[], Sequence[Written]]
    with_lines: Callable[[Iterable[Diagnostic]], Iterable[Diagnostic]]
    pods: tuple[ServingPod, ...]
    generation: int
    changed: float
    port_offset: int = 0
    path_normalization: PathNormalization = "strict"
    ingresses: Ingresses | None = None


#: Gives what engines counted, of some routes or, without a set of them, of all.
ReadFigures = Callable[[frozenset[str] | None], Figures | None]


class Views(NamedTuple):
    """Where a page looks; called on a thread of its own.

    Attributes:
        look: gives this moment; None: nothing was translated yet. While nothing changes it gives the same translation.
        figures: gives what engines counted, of some routes or of all (None); where there is no engine, None. Without it
            nothing is counted here.
    """

    look: Callable[[], Viewed | None]
    figures: ReadFigures | None


#: Makes what answers for a page.
MakePage = Callable[[Views], Make]


def before_engine(page: MakePage | None) -> Page | None:
    """The same for a process with an engine, which has the metrics."""
    if page is None:
        return None
    return lambda look, metrics: page(Views(look, lambda wanted: read_figures(metrics(), wanted)))
