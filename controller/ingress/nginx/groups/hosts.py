"""What is about a whole host: other names, TLS that is passed through."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...features import Aliases, Feature, Passthrough
from ...provider import Reading

_HOST = re.compile(r"(?:\*\.)?[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)+")


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    if reading.flag("ssl-passthrough"):
        yield Passthrough(causes=reading.causes("ssl-passthrough"))
    names = tuple(name.lower() for name in reading.words("server-alias"))
    hosts = tuple(name for name in names if _HOST.fullmatch(name))
    if hosts != names:
        message = f"no hosts: {', '.join(sorted(set(names) - set(hosts)))}"
        reading.tell("server-alias", "invalid", message, "name hosts, without expressions")
    if hosts:
        yield Aliases(causes=reading.causes("server-alias"), names=hosts)
