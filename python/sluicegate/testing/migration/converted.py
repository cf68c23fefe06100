"""What the converted table does with a request, in the form of the model's answers."""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections.abc import Mapping
from typing import NamedTuple

from sluicegate import ir
from sluicegate.controller.ingress import Conversion, Inventory
from sluicegate.controller.ingress.probes import SAMPLE, Answer, Probe, Share
from sluicegate.controller.ingress.probes.exchange import normal_url
from sluicegate.testing import decision
from sluicegate.testing.request import Identity, Request
from sluicegate.testing.table import Table

from .world import table_of

_PORTS = {"http": 80, "https": 443}
_RULE = re.compile(r"spec\.rules\[(\d+)\]")
#: Fields that the gateway sets or takes out by itself.
_OWN = re.compile(
    r"host|connection|upgrade|te|x-forwarded-(?:for|host|port|proto|scheme|client-cert)|content-length|transfer-encoding",
    re.IGNORECASE,
)
#: The same without those that a conversion may say.
_ALWAYS_OWN = re.compile(
    r"host|connection|upgrade|te|x-forwarded-(?:for|host|proto|client-cert)|content-length|transfer-encoding",
    re.IGNORECASE,
)
#: A server name that a handshake may have (RFC 6066, 3): neither an address nor a name with a port.
_SERVER_NAME = re.compile(r"(?!\d+(?:\.\d+){3}$)[A-Za-z0-9.-]+")

Place = tuple[str, str]
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Told(NamedTuple):
    """An answer, and which parts of Ingresses its rule comes from."""

    answer: Answer
    places: frozenset[Place]


class Converted:
    """The table of a conversion."""

    def __init__(self, conversion: Conversion, inventory: Inventory, *, forwarding: bool = False) -> None:
        """Make the table; `forwarding`: look at the fields too that `--forwarding-headers` makes."""
        self._own = _ALWAYS_OWN if forwarding else _OWN
        self._table = table_of(conversion, inventory)
        self._hostnames = {item.id: item.hostname or "_" for item in self._table.resources.listeners}
        self._external = _external(self._table)
        self._unlimited: dict[str, list[list[_Network]]] = {}
        for limits in self._table.resources.policies:
            if isinstance(limits, ir.RateLimits):
                blocks = [ipaddress.ip_network(each) for each in limits.exempt]
                # A verdict names the policy, or a part of it.
                for name in itertools.accumulate(limits.id.split("/"), "{}/{}".format):
                    self._unlimited.setdefault(name, []).append(blocks)
        self._places: dict[tuple[str, int], frozenset[Place]] = {}
        for item in conversion.objects:
            for path, causes in item.causes.items():
                found = _RULE.fullmatch(path)
                if found is not None:
                    route = f"{item.kind}/{item.namespace}/{item.name}"
                    self._places[route, int(found[1])] = frozenset((each.object, each.subject) for each in causes)

    def answer(self, probe: Probe) -> Told:
        """What the gateway does with a request."""
        sample = decision.Answer(status=200, headers=SAMPLE)
        made = self._table.decide(_request(probe), sample=sample)
        places = self._places.get((made.route or "", made.rule if made.rule is not None else -1), frozenset())
        return Told(self._answer(made, probe), places)

    def _answer(self, made: decision.Decision, probe: Probe) -> Answer:
        server = self._hostnames.get(made.listener or "", "")
        unheard = made.reason == "no_listener" and probe.scheme == "https"
        if made.outcome == "close" or unheard:
            return Answer(refused=True, server=server, why=made.reason)
        fields = {name.lower(): value for name, value in (made.response.headers if made.response is not None else ())}
        if made.outcome == "respond":
            location = normal_url(fields.pop("location", ""))
            return Answer(status=made.status, location=location, fields=fields, server=server, why=made.reason)
        asked = {"external" if item.stanza == "external" else "" for item in made.policies if item.verdict == "asked"}
        if any(item.verdict == "asked" and self._limits(item.policy, probe.client) for item in made.policies):
            asked.add("limits")
        forwarded = made.request
        if forwarded is None:
            return Answer(carried=True, backends=self._shares(made), server=server)
        return Answer(
            fields=fields,
            backends=self._shares(made),
            target=forwarded.target,
            authority=forwarded.authority or probe.host,
            sent={name.lower(): value for name, value in forwarded.headers if not self._own.fullmatch(name)},
            mirrored=bool(made.mirrors),
            asked=tuple(sorted(asked - {""})),
            server=server,
        )

    def _limits(self, policy: str, client: str) -> bool:
        """Whether a policy has limits for a client: a verdict says nothing of who is exempt."""
        address = ipaddress.ip_address(client)
        found = self._unlimited.get(policy, [])
        return bool(found) and not any(address in block for blocks in found for block in blocks)

    def _shares(self, made: decision.Decision) -> tuple[Share, ...]:
        total = sum(item.weight for item in made.backends)
        if not total:
            return (Share(self._name(made.backend or ""), 1.0),)
        found: dict[str, float] = {}
        for item in made.backends:
            name = self._name(item.backend or "")
            found[name] = found.get(name, 0.0) + item.weight / total
        return tuple(sorted(Share(name, round(part, 4)) for name, part in found.items() if part > 0))

    def _name(self, backend: str) -> str:
        return self._external.get(backend, backend)


def _external(table: Table) -> Mapping[str, str]:
    """Backends outside the cluster by their ids, as `host:port`."""
    found: dict[str, str] = {}
    for item in table.resources.backends:
        if isinstance(item, ir.Backend) and item.external is not None:
            found[item.id] = f"{item.external.hostname}:{item.external.port}"
    return found


def _request(probe: Probe) -> Request:
    name = probe.host.partition(":")[0].lower().removesuffix(".")
    identity: Identity | None = None
    if probe.user:
        identity = Identity(proof="basic", user=probe.user)
    elif probe.certificate:
        identity = Identity(proof="certificate", user="client")
    return Request(
        method=probe.method,
        scheme=probe.scheme,
        authority=probe.host,
        port=_PORTS[probe.scheme],
        target=probe.target,
        headers=probe.headers,
        server_name=name if probe.scheme == "https" and _SERVER_NAME.fullmatch(name) else None,
        client=probe.client,
        identity=identity,
    )
