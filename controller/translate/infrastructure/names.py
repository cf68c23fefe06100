"""Names, label values and target ports. All are functions of what they stand for, so that every replica agrees."""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from ...api import ObjectKey
from .plane import ADMIN_PORT, PlanePort

#: A Service's name (RFC 1035) and a label's value take no more.
MAX_NAME = 63
#: Digits of a digest in a name, and in an annotation.
_DIGEST, DIGEST = 10, 16
_NOT_LABEL = re.compile(r"[^a-z0-9-]+")
#: Target ports of shared data planes: above those that listeners ask for, below the ephemeral ones of Linux.
FIRST_SHARED, SHARED_PORTS = 20_000, 12_000
MAX_PORT = 65_535
#: Ports that one Gateway may have, and in a shared data plane the Gateways of one namespace together. Stops an owner
#: who takes the ports of all: a Service of type LoadBalancer has a node port for each, and a cluster 2,768 of these.
GATEWAY_PORTS, NAMESPACE_PORTS = 1_000, 3_000


def plane_name(gateway: str, class_name: str, *, unique: bool = False) -> str:
    """Name of what is provisioned for a Gateway: `<gateway>-<class>` (GEP-1762), cut with a digest where it is long.

    Args:
        gateway: name of the Gateway.
        class_name: name of its class.
        unique: with a digest in any case: `a-b` of class `c` and `a` of class `b-c` would have the same name.
    """
    if unique:
        return _cut(_clean(f"{gateway}-{class_name}"), digest_of(f"{gateway}/{class_name}"))
    return _name(f"{gateway}-{class_name}")


def shared_name(class_name: str) -> str:
    """Name of the data plane that all Gateways of a class share."""
    return _name(f"sluicegate-{class_name}")


def shared_service_name(gateway: ObjectKey, class_name: str) -> str:
    """Name of a Gateway's Service in the shared mode; the namespace makes it unique, the digest makes that sure."""
    text = f"{gateway.name}-{class_name}"
    return _cut(_clean(text), digest_of(f"{gateway.namespace}/{gateway.name}/{class_name}"))


def label_value(text: str) -> str:
    """A label value for a name: the name itself, or its beginning and a digest where it is too long."""
    return text if len(text) <= MAX_NAME else _cut(text, digest_of(text))


def dedicated_ports(wanted: Iterable[tuple[str, int]]) -> tuple[PlanePort, ...]:
    """Target ports of a data plane of its own: the ports themselves, but for that of its admin listener.

    Args:
        wanted: transports and ports of the listeners; the first `GATEWAY_PORTS` get one.
    """
    wanted = set(itertools.islice(dict.fromkeys(wanted), GATEWAY_PORTS))
    return tuple(sorted(PlanePort(name, port, _dedicated(name, port, wanted)) for name, port in wanted))


def shared_ports(
    wanted: Iterable[tuple[ObjectKey, str, int]], known: Mapping[tuple[ObjectKey, str, int], int]
) -> dict[tuple[ObjectKey, str, int], int]:
    """Target ports of a shared data plane: each Gateway's port has one that no other has.

    Args:
        wanted: Gateways, transports and ports, the older Gateway first.
        known: target ports that are in use now: they stay.

    Returns:
        Target ports by Gateway, transport and port. What finds no free one is left out, and what is beyond the share of
        a Gateway or of its namespace.
    """
    wanted = _within_shares(wanted)
    result: dict[tuple[ObjectKey, str, int], int] = {}
    taken: dict[str, set[int]] = defaultdict(set)
    for item in wanted:
        port = known.get(item, 0)
        if FIRST_SHARED <= port < FIRST_SHARED + SHARED_PORTS and port not in taken[item[1]]:
            result[item] = port
            taken[item[1]].add(port)
    for item in wanted:
        of_transport = taken[item[1]]
        if item in result or len(of_transport) == SHARED_PORTS:
            continue
        start = int(digest_of(f"{item[0]} {item[1]} {item[2]}"), 16) % SHARED_PORTS
        ports = (FIRST_SHARED + (start + step) % SHARED_PORTS for step in range(SHARED_PORTS))
        result[item] = next(port for port in ports if port not in of_transport)
        of_transport.add(result[item])
    return result


def _within_shares(wanted: Iterable[tuple[ObjectKey, str, int]]) -> list[tuple[ObjectKey, str, int]]:
    """Those that their Gateways may have."""
    gateways: Counter[ObjectKey] = Counter()
    namespaces: Counter[str] = Counter()
    found = []
    for item in wanted:
        gateway = item[0]
        if gateways[gateway] < GATEWAY_PORTS and namespaces[gateway.namespace] < NAMESPACE_PORTS:
            gateways[gateway] += 1
            namespaces[gateway.namespace] += 1
            found.append(item)
    return found


def _dedicated(transport: str, port: int, wanted: set[tuple[str, int]]) -> int:
    if transport != "TCP" or port != ADMIN_PORT:
        return port
    return next(other for other in range(FIRST_SHARED, MAX_PORT) if (transport, other) not in wanted)


def _name(text: str) -> str:
    clean = _clean(text)
    return clean if clean == text and len(text) <= MAX_NAME else _cut(clean, digest_of(text))


def _clean(text: str) -> str:
    """An RFC 1035 label but for its length: Gateways may begin with a digit and hold dots, Services may not."""
    clean = _NOT_LABEL.sub("-", text.lower())
    return clean if clean[:1].isalpha() else f"g-{clean}"


def _cut(text: str, digest: str) -> str:
    return f"{text[: MAX_NAME - len(digest) - 1].rstrip('-._')}-{digest}"


def digest_of(text: str, length: int = _DIGEST) -> str:
    """So many digits of a text's SHA-256, in hexadecimal."""
    from hashlib import sha256  # it loads OpenSSL, which `serve` does without

    return sha256(text.encode()).hexdigest()[:length]
