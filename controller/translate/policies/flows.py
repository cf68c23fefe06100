"""What policies can go by where no requests come, in words: connections of TCP and TLS, and flows of UDP."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

from sluicegate.words import listed, with_article

#: Routes whose rules take connections, or datagrams.
CONNECTION_ROUTES = frozenset({"TLSRoute", "TCPRoute", "UDPRoute"})
_OF_DATAGRAMS = frozenset({"UDPRoute"})

#: What an AccessPolicy and a RateLimitPolicy can do: where datagrams come, and where only connections do.
_ACCESS = ("use authorization with clients (addresses)", "use authorization or certificate")
_LIMITS = (
    "use the key client (flows for each address), without when and with a number as cost",
    "use the keys client and host, without when and with a number as cost",
)
_CAN: Mapping[str, tuple[str, str]] = {"AccessPolicy": _ACCESS, "RateLimitPolicy": _LIMITS}


def has_datagrams(kinds: Iterable[str]) -> bool:
    """Whether datagrams come to something that takes routes of these kinds, and nothing else."""
    return {*kinds} == _OF_DATAGRAMS


def flows_of(kinds: Set[str]) -> str:
    """`the flows of a UDPRoute`, with what is known of them."""
    named = listed(with_article(kind) for kind in sorted(kinds))
    if has_datagrams(kinds):
        return f"the flows of {named}, of which only the client's address is known"
    return f"the connections{' and flows' if kinds & _OF_DATAGRAMS else ''} of {named}"


def way_out(policy: str, kinds: Set[str]) -> str:
    """What a policy of a kind can be used for there; empty: nothing."""
    found = _CAN.get(policy)
    return "" if found is None else found[0 if kinds & _OF_DATAGRAMS else 1]


def remedy_for(policy: str, kinds: Set[str], wrong: str = "take it out") -> str:
    """What to do about a part that means nothing there."""
    way = way_out(policy, kinds)
    return f"{wrong}{f' and {way}' if way else ''}, or attach the policy to a route for requests"


def refused_at(kinds: Set[str], named: str) -> str:
    """What becomes of all that comes to targets of these kinds whose policy cannot be honoured."""
    if has_datagrams(kinds):
        return f"flows of {named} are dropped"
    if kinds and kinds <= CONNECTION_ROUTES:
        return f"connections of {named} are reset{', flows dropped' if kinds & _OF_DATAGRAMS else ''}"
    return f"requests for {named} are answered 500, connections are reset"
