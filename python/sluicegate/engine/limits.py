"""Settings of the engine (limits, timeouts, paths; `native/core/src/settings.rs`), and what each may be.

The settings file has them as the table `[engine]`, GatewayParameters as `proxy.engine`: both are checked here, so that
what the controller takes is what the pods start with.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from sluicegate.words import placed, shown, suggestion

#: What is done to paths before they are matched and forwarded.
PathNormalization: TypeAlias = Literal["strict", "off"]

_Count = Annotated[int, Meta(ge=1, le=100_000)]
_Short = Annotated[int, Meta(ge=1, le=3_600_000)]
_Long = Annotated[int, Meta(ge=1, le=86_400_000)]
#: RFC 9113 section 6.9.2.
_Window = Annotated[int, Meta(ge=65_535, le=2**31 - 1)]


class EngineLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings by name; `docs/settings.md` says what each is for, and the engine's defaults.

    Times are in milliseconds, sizes in bytes; what is unset has the engine's default.
    """

    max_connections: Annotated[int, Meta(ge=1, le=1_000_000)] | UnsetType = UNSET
    max_connection_age_ms: Annotated[int, Meta(ge=0, le=2_592_000_000)] | UnsetType = UNSET
    max_connection_requests: Annotated[int, Meta(ge=0, le=1_000_000_000)] | UnsetType = UNSET
    max_head_bytes: Annotated[int, Meta(ge=1024, le=1_048_576)] | UnsetType = UNSET
    max_target_bytes: Annotated[int, Meta(ge=1024, le=65_534)] | UnsetType = UNSET
    max_head_fields: Annotated[int, Meta(ge=16, le=384)] | UnsetType = UNSET
    max_response_head_bytes: Annotated[int, Meta(ge=1024, le=1_048_576)] | UnsetType = UNSET
    max_response_head_fields: Annotated[int, Meta(ge=16, le=384)] | UnsetType = UNSET
    max_body_bytes: Annotated[int, Meta(ge=0, le=2**40)] | UnsetType = UNSET
    head_timeout_ms: _Short | UnsetType = UNSET
    idle_timeout_ms: _Long | UnsetType = UNSET
    request_body_timeout_ms: _Long | UnsetType = UNSET
    response_read_timeout_ms: _Long | UnsetType = UNSET
    stall_timeout_ms: _Long | UnsetType = UNSET
    handshake_timeout_ms: _Short | UnsetType = UNSET
    http2_max_streams: _Count | UnsetType = UNSET
    http2_stream_window: _Window | UnsetType = UNSET
    http2_connection_window: _Window | UnsetType = UNSET
    http2_ping_after_ms: Annotated[int, Meta(ge=0, le=3_600_000)] | UnsetType = UNSET
    upstream_connect_timeout_ms: _Short | UnsetType = UNSET
    upstream_idle_timeout_ms: _Long | UnsetType = UNSET
    upstream_idle_per_endpoint: Annotated[int, Meta(ge=0, le=100_000)] | UnsetType = UNSET
    retry_buffer_bytes: Annotated[int, Meta(ge=0, le=16_777_216)] | UnsetType = UNSET
    body_buffer_bytes: Annotated[int, Meta(ge=1_048_576, le=68_719_476_736)] | UnsetType = UNSET
    mirror_buffer_bytes: Annotated[int, Meta(ge=65_536, le=67_108_864)] | UnsetType = UNSET
    l4_idle_timeout_ms: _Long | UnsetType = UNSET
    udp_idle_timeout_ms: _Long | UnsetType = UNSET
    udp_max_sessions: Annotated[int, Meta(ge=1, le=1_000_000)] | UnsetType = UNSET
    path_normalization: PathNormalization | UnsetType = UNSET
    trusted_proxies: tuple[str, ...] | UnsetType = UNSET

    def network_faults(self) -> Iterator[tuple[str, str]]:
        """What is wrong with the networks: their place, such as `trusted_proxies[0]`, and the reason."""
        for index, network in enumerate(self.trusted_proxies or ()):
            if not _is_network(network):
                yield f"trusted_proxies[{index}]", f"{network!r} is no address or network, such as 10.0.0.0/8"


def faults(limits: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is wrong with limits as an object or a file has them: the setting, or a place in it, and the reason."""
    for name, value in limits.items():
        if name not in EngineLimits.__struct_fields__:
            known = sorted(EngineLimits.__struct_fields__)
            meant = suggestion(name, known) or f"; there are {', '.join(known)}"
            yield name, f"no setting of the engine has this name{meant}"
            continue
        try:
            yield from msgspec.convert({name: value}, EngineLimits).network_faults()
        except msgspec.ValidationError as error:
            yield name, f"{shown(value)} cannot be used: {placed(str(error))[1]}"


def _is_network(text: str) -> bool:
    """Whether the engine reads a network: an address, or one with the length of a prefix; neither a zone nor a mask."""
    address, slash, prefix = text.partition("/")
    try:
        longest = ipaddress.ip_address(address).max_prefixlen
    except ValueError:
        return False
    is_length = prefix.isascii() and prefix.isdigit() and int(prefix) <= longest
    return "%" not in address and (not slash or is_length)
