"""The cluster's network namespace, and breaking it: packets to and from the API server are dropped on demand."""

from __future__ import annotations

import ipaddress
import subprocess
from collections.abc import Collection
from pathlib import Path

NAMESPACE = "sluice"
NODE_ADDRESS = "10.89.0.1"
API_PORT = 6443
POD_NETWORK = ipaddress.ip_network("10.244.0.0/16")
SERVICE_NETWORK = ipaddress.ip_network("10.96.0.0/16")
#: LoadBalancer addresses; .1 to .9 are given only on request.
POOL = ipaddress.ip_network("10.90.0.0/24")
RESERVED = 9
#: Chain of the rules that break the network.
_CHAIN = "SLUICEGATE-FAULTS"

_COMMANDS = (
    "ip link set lo up",
    "ip link add node0 type veth peer name node0p",
    "ip link set node0p up",
    f"ip addr add {NODE_ADDRESS}/24 dev node0",
    "ip link set node0 up",
    "ip route add default via 10.89.0.254 dev node0",
    # Connections to an address without a rule are refused at once.
    f"ip route add local {POOL} dev lo src {NODE_ADDRESS}",
    "sysctl -qw net.ipv4.ip_forward=1",
    # A connection that was refused before its address had a rule is tracked for two minutes, and takes a later one from
    # the same port to nowhere.
    "sysctl -eqw net.netfilter.nf_conntrack_tcp_timeout_syn_sent=1",
    "sysctl -qw net.bridge.bridge-nf-call-iptables=1",
    f"iptables -w -N {_CHAIN}",
    f"iptables -w -I INPUT -j {_CHAIN}",
    f"iptables -w -I OUTPUT -j {_CHAIN}",
)


def inside(*arguments: object) -> list[str]:
    """A command that runs in the cluster's namespace."""
    return ["nsenter", f"--net=/run/netns/{NAMESPACE}", *map(str, arguments)]


def exists() -> bool:
    """Whether the namespace is there."""
    return Path(f"/run/netns/{NAMESPACE}").exists()


def make() -> None:
    """Make the namespace with its addresses and routes."""
    subprocess.run(["ip", "netns", "add", NAMESPACE], check=True)
    for command in _COMMANDS:
        subprocess.run(inside(*command.split()), check=True)


def remove() -> None:
    """Remove the namespace where it is."""
    if exists():
        subprocess.run(["ip", "netns", "del", NAMESPACE], check=True)


def partition(source: str = str(POD_NETWORK)) -> None:
    """Drop every packet between the API server and an address or network, in both directions, without a word.

    Connections that are open stay half-open; nobody gets a reset. Without `source`: from all pods.
    """
    heal()
    _chain("-A", "-p", "tcp", "-s", source, "--dport", API_PORT, "-j", "DROP")
    _chain("-A", "-p", "tcp", "-d", source, "--sport", API_PORT, "-j", "DROP")


def sever(addresses: Collection[str]) -> int:
    """Drop every packet of the connections that some pods have to the API server now; new ones work.

    What is open is half-open for good: neither side is told. Everybody else's connections stay as they are.

    Args:
        addresses: of the pods.

    Returns:
        How many connections there are.
    """
    wanted = {ipaddress.ip_address(item) for item in addresses}
    heal()
    command = ["ss", "-tnH", "state", "established", f"( sport = :{API_PORT} )"]
    listed = subprocess.run(inside(*command), capture_output=True, text=True, check=True).stdout
    severed = 0
    for line in listed.splitlines():
        address, _, port = line.split()[-1].rpartition(":")
        peer = ipaddress.ip_address(address.strip("[]").removeprefix("::ffff:"))
        if peer not in wanted:
            continue
        severed += 1
        _chain("-A", "-p", "tcp", "-s", peer, "--sport", port, "--dport", API_PORT, "-j", "DROP")
        _chain("-A", "-p", "tcp", "-d", peer, "--dport", port, "--sport", API_PORT, "-j", "DROP")
    return severed


def heal() -> None:
    """Let all packets through again."""
    _chain("-F")


def _chain(verb: str, *rule: object) -> None:
    subprocess.run(inside("iptables", "-w", verb, _CHAIN, *rule), check=True)
