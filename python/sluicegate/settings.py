"""Settings of `sluicegate serve`: flags, then environment variables, then the settings file, then defaults.

Every setting has the same name everywhere: `--port-offset`, `SLUICEGATE_PORT_OFFSET`, `port_offset` in the file (TOML).
Limits and timeouts of the engine (`native/core/src/runtime/settings.rs`) are set in the table `[engine]` of the file.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from sluicegate.controller.translate import DEFAULT_CONTROLLER_NAME

DEFAULT_ADMIN = "127.0.0.1:19000"
ENVIRONMENT_PREFIX = "SLUICEGATE_"
#: Seconds; a laptop's Ctrl-C should not take a minute. In a cluster the Deployment sets 60.
DEFAULT_DRAIN = 10.0
MAX_PORT_OFFSET = 60_000
MAX_WORKERS = 256
MAX_DRAIN = 3_600.0
#: Settings that may be given several times, or separated by commas.
LISTS = frozenset({"listen", "address_pool", "status_addresses"})


class SettingsError(ValueError):
    """A setting that cannot be used; the message says where it was given and what to write instead."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of a standalone gateway.

    Attributes:
        controller_name: `spec.controllerName` of the GatewayClasses to serve.
        listen: addresses to bind in place of those that Gateways ask for.
        port_offset: added to each listener's port.
        workers: threads; 0: as many as cores may be used.
        drain: seconds that connections get to end after SIGTERM.
        admin: `address:port` of the admin listener, or `off`.
        access_log: `off`, `-` for standard output, or a path.
        output: `text` or `json`.
        address_pool: networks and ranges that Gateways of a cluster get their addresses from.
        status_addresses: what Gateways of a cluster report that bind all addresses.
        namespace: where the controller keeps its Lease.
        engine: further settings of the engine, by name.
    """

    controller_name: str = DEFAULT_CONTROLLER_NAME
    listen: tuple[str, ...] = ()
    port_offset: int = 0
    workers: int = 0
    drain: float = DEFAULT_DRAIN
    admin: str = DEFAULT_ADMIN
    access_log: str = "off"
    output: str = "text"
    address_pool: tuple[str, ...] = ()
    status_addresses: tuple[str, ...] = ()
    namespace: str = "sluicegate-system"
    engine: dict[str, Any] = msgspec.field(default_factory=dict)

    def engine_settings(self) -> dict[str, Any]:
        """What the engine is started with."""
        found = dict(self.engine)
        found["workers"] = self.workers
        if self.admin != "off":
            found["admin"] = self.admin
        if self.access_log != "off":
            found["access_log"] = {"enabled": True} | ({} if self.access_log == "-" else {"path": self.access_log})
        return found


def load_settings(flags: Mapping[str, Any], environment: Mapping[str, str], path: str | None = None) -> Settings:
    """Put the settings together.

    Args:
        flags: by field name; None where not given.
        environment: `os.environ`.
        path: the settings file; None: as `SLUICEGATE_CONFIG` says, else none.

    Raises:
        SettingsError: something that cannot be used.
    """
    path = path or environment.get(f"{ENVIRONMENT_PREFIX}CONFIG")
    merged: dict[str, Any] = {}
    places: dict[str, str] = {}
    layers = [(_from_file(path), path or ""), (_from_environment(environment), "the environment"), (flags, "a flag")]
    for layer, place in layers:
        for name, value in layer.items():
            if value is not None:
                merged[name] = value
                places[name] = place
    try:
        settings = msgspec.convert(merged, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{error} (set by {_blame(str(error), places)})") from None
    _check(settings, places)
    return settings


def _from_file(path: str | None) -> dict[str, Any]:
    if not path:
        return {}
    try:
        found = msgspec.toml.decode(Path(path).read_bytes())
    except OSError as error:
        raise SettingsError(f"{path}: the settings file cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, ValueError) as error:
        raise SettingsError(f"{path}: no TOML: {error}") from None
    for name in LISTS:
        if isinstance(found.get(name), str):
            found[name] = [found[name]]
    return dict(found)


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in Settings.__struct_fields__:
        value = environment.get(ENVIRONMENT_PREFIX + name.upper())
        if not value or name == "engine":
            continue
        found[name] = [part.strip() for part in value.split(",")] if name in LISTS else value
    return found


def _blame(message: str, places: Mapping[str, str]) -> str:
    names = [place for name, place in places.items() if f"`{name}`" in message or f"$.{name}" in message]
    return names[0] if names else ", ".join(dict.fromkeys(places.values()))


def _check(settings: Settings, places: Mapping[str, str]) -> None:
    def refuse(name: str, reason: str) -> SettingsError:
        return SettingsError(f"{name} (set by {places.get(name, 'default')}): {reason}")

    for address in settings.listen:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise refuse("listen", f"{address!r} is no IP address, such as 127.0.0.1 or ::1") from None
    if not 0 <= settings.port_offset <= MAX_PORT_OFFSET:
        raise refuse("port_offset", f"{settings.port_offset} is not between 0 and {MAX_PORT_OFFSET}")
    if not 0 <= settings.workers <= MAX_WORKERS:
        raise refuse("workers", f"{settings.workers} is not between 0 (a thread per core) and {MAX_WORKERS}")
    if not 0 <= settings.drain <= MAX_DRAIN:
        raise refuse("drain", f"{settings.drain} seconds are not between 0 and {MAX_DRAIN:.0f}")
    if settings.admin != "off" and not _is_socket_address(settings.admin):
        raise refuse("admin", f"{settings.admin!r} is no address and port, such as {DEFAULT_ADMIN}, nor `off`")
    if settings.output not in {"text", "json"}:
        raise refuse("output", f"{settings.output!r} is neither text nor json")


def _is_socket_address(value: str) -> bool:
    host, _, port = value.rpartition(":")
    try:
        ipaddress.ip_address(host[1:-1] if host.startswith("[") and host.endswith("]") else host)
    except ValueError:
        return False
    return port.isascii() and port.isdigit() and int(port) <= 0xFFFF
