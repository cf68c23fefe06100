"""Which addresses a Gateway binds, or asks its Service for.

`--listen`, else the IPAddress values of the spec, else what the pool gives, else all. In a provisioned data plane the
addresses are those of its Service; its pods bind all of theirs.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..api import Diagnostics, ObjectKey
from .assemble import Build
from .conditions import Reason
from .infrastructure.plane import ClusterAddresses
from .options import Options
from .pool import give_addresses
from .status import Verdict
from .topology import GatewayFacts
from .values import normal_address

#: `GatewayAddressRoutabilityCluster`: the cluster's own address of a Service.
CLUSTER_ROUTABILITY = "Cluster"


def give_from_pool(
    builds: Mapping[ObjectKey, Build], pool: tuple[str, ...], before: Mapping[ObjectKey, GatewayFacts]
) -> None:
    """Give the addresses of the pool to the Gateways that name none."""
    serving = {key: before[key].addresses for key in builds if key in before}
    given = give_addresses(pool, [build.gateway for build in builds.values()], serving)
    holders = {address: key for key, address in given.items()}
    for key, build in builds.items():
        build.given, build.held_by = given.get(key), holders


def decide_addresses(build: Build, options: Options, diagnostics: Diagnostics) -> None:
    """Decide which addresses a Gateway binds, or asks for."""
    usable: list[str] = []
    within: list[str] = []
    unusable: list[str] = []
    wildcard = False
    for index, item in enumerate(build.gateway.spec.addresses):
        path = f"spec.addresses[{index}]"
        if item.type != "IPAddress":
            message = f"addresses of type {item.type} are not supported"
            build.refused = build.refused or Verdict(False, Reason.UNSUPPORTED_ADDRESS, message)
            diagnostics.error(f"{path}.type", "unsupported-address", message, "use type IPAddress")
        elif (problem := _routability_error(item.routability, options)) is not None:
            build.refused = build.refused or Verdict(False, Reason.UNSUPPORTED_ADDRESS, problem)
            diagnostics.error(f"{path}.routability", "unsupported-address", problem, "remove routability")
        elif not item.value:
            wildcard = wildcard or not item.routability
        elif (address := normal_address(item.value)) is None:
            unusable.append(f"{item.value} is not an IP address")
            diagnostics.error(f"{path}.value", "unusable-address", unusable[-1], "correct it")
        elif (holder := build.held_by.get(address)) is not None:
            unusable.append(f"{address} was given to {holder} by the pool")
            diagnostics.error(
                f"{path}.value", "address-taken", unusable[-1], "name another one, or delete that Gateway"
            )
        elif address not in (found := within if item.routability else usable):
            found.append(address)
    build.unusable = tuple(unusable)
    wanted = [item.routability for item in build.gateway.spec.addresses]
    if CLUSTER_ROUTABILITY in wanted:
        build.cluster = ClusterAddresses(tuple(within), only=all(wanted))
    if options.provision is not None:
        build.requested = tuple(usable)
    else:
        build.addresses = options.listen or (() if wildcard else tuple(usable))
        if options.pool and not build.addresses and not unusable:
            _from_pool(build, diagnostics)
    if unusable and not usable and not within and not wildcard and not options.listen:
        message = f"no address of the Gateway can be used: {'; '.join(unusable)}"
        build.refused = build.refused or Verdict(False, Reason.INVALID, message)


def _from_pool(build: Build, diagnostics: Diagnostics) -> None:
    """Bind the address that the pool gave, or nothing: who binds all addresses takes those of the others."""
    if build.given is not None:
        build.addresses = (build.given,)
        return
    remedy = "give --address-pool more addresses, or delete a Gateway that has one"
    build.unassigned = f"the address pool has no address left: {remedy}"
    diagnostics.error("spec.addresses", "no-address-left", "the address pool has no address left", remedy)


def _routability_error(routability: str, options: Options) -> str | None:
    """Why an address of this reachability cannot be had (`GatewaySpecAddress.routability`)."""
    if not routability:
        return None
    if routability != CLUSTER_ROUTABILITY:
        return f"routability {routability} is not known, only {CLUSTER_ROUTABILITY}"
    if options.provision is None:
        return f"routability {routability} is that of a Service: it needs a data plane that is provisioned"
    return None
