"""One look at manifests, without an engine: what check, explain, translate and `load` stand on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from sluicegate import ir
from sluicegate.controller.sources.files import Reader
from sluicegate.controller.sources.files.reader import Progress
from sluicegate.controller.store.store import Store
from sluicegate.controller.translate import DEFAULT_CONTROLLER_NAME, Options, Translation, Translator, ir_transaction
from sluicegate.engine.checks import native_checks
from sluicegate.schema import violations

from ..controller.api import Diagnostic
from ..controller.sources.files.source import Refresh, Source, Validate


@dataclass(frozen=True, slots=True)
class Offline:
    """Manifests, translated.

    Attributes:
        source: knows the places of fields.
        refresh: what could not be read.
        translation: configuration, statuses and diagnostics.
    """

    source: Source
    refresh: Refresh
    translation: Translation

    def transaction(self) -> ir.Transaction:
        """The full state, with its secrets."""
        return ir_transaction(None, self.translation.ir, 1)

    def diagnostics(self) -> list[Diagnostic]:
        """Everything that is wrong, in the order of files and lines."""
        told = self.source.with_lines(self.translation.diagnostics)
        return sorted({*self.refresh.diagnostics, *told}, key=Diagnostic.order)


def load_offline(
    paths: Sequence[str],
    controller_name: str = DEFAULT_CONTROLLER_NAME,
    *,
    standard_input: str | None = None,
    validate: Validate | None = violations,
    progress: Progress | None = None,
    port_offset: int = 0,
) -> Offline:
    """Read and translate manifests.

    Args:
        paths: files, directories, `-` for standard input.
        controller_name: of the GatewayClasses to serve.
        standard_input: text for `-`; None: standard input itself.
        validate: look at documents as the API server would, and leave out what it would refuse, as `serve` does; None:
            take what can be read.
        progress: called for each file that is read.
        port_offset: the setting of that name.
    """
    store = Store()
    source = Source(Reader(paths, standard_input), store, validate)
    refresh = source.refresh(progress)
    options = Options(port_offset=port_offset, checks=native_checks(), now=time.time())
    return Offline(source, refresh, Translator(controller_name, options).translate(store.snapshot()))
