"""What is about a whole host: other names, TLS that is passed through."""

from __future__ import annotations

from collections.abc import Iterator

from ... import values
from ...features import Aliases, Feature, Passthrough
from ...reading import Reading


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    if reading.flag("ssl-passthrough"):
        yield Passthrough(causes=reading.causes("ssl-passthrough"))
    names = tuple(name.lower() for name in reading.words("server-alias"))
    hosts = tuple(name for name in names if values.is_host(name.removeprefix("*.")) and "." in name)
    if hosts != names:
        message = f"no hosts: {', '.join(sorted(set(names) - set(hosts)))}"
        reading.tell("server-alias", "invalid", message, "name hosts, without expressions")
    if hosts:
        yield Aliases(causes=reading.causes("server-alias"), names=hosts)
