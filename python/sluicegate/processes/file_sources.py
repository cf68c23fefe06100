"""What reads manifests, with the Ingresses among them where these are served; what serves them is loaded only then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from sluicegate.controller.api import Diagnostic
from sluicegate.controller.sources.files import Reader
from sluicegate.controller.sources.files.judge import Validate
from sluicegate.controller.sources.files.source import Source
from sluicegate.controller.store.store import Store

from .ingress_settings import Wanted

if TYPE_CHECKING:
    from .ingress_files import FileIngresses


def sources_of(
    reader: Reader, validate: Validate | None, wanted: Wanted | None, controller_name: str
) -> tuple[Source, Store, FileIngresses | None]:
    """What reads manifests, what it reads them into, and the Ingresses among them that are served.

    Args:
        reader: of the files.
        validate: looks at documents as the API server would.
        wanted: Ingresses that are served; None: none are.
        controller_name: of the GatewayClasses to serve.

    Raises:
        ValueError: a name that is none.
    """
    if wanted is None:
        store = Store()
        return Source(reader, store, validate), store, None
    from .ingress_files import with_ingresses

    return with_ingresses(reader, validate, wanted, controller_name)


def told_of(items: Iterable[Diagnostic], source: Source, ingresses: FileIngresses | None) -> Iterator[Diagnostic]:
    """What is told of objects, with the lines of the fields; what is virtual by the Ingress that it comes from.

    Args:
        items: of a translation.
        source: that knows the lines.
        ingresses: that are served; None: none are.
    """
    return source.with_lines(items) if ingresses is None else ingresses.told_of(items)
