"""Settings of the processes that serve: flags, then environment variables, then the settings file, then defaults.

Every setting has the same name everywhere: `--port-offset`, `SLUICEGATE_PORT_OFFSET`, `port_offset` in the file (TOML).
Limits and timeouts of the engine (`engine/limits`) are set in the table `[engine]` of the file.
"""

from __future__ import annotations

import codecs
import ipaddress
import os
import re
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from sluicegate.colors import CHOICES as COLORS
from sluicegate.colors import is_terminal, wants_color
from sluicegate.controller import DEFAULT_CONTROLLER_NAME, plain_file
from sluicegate.engine.limits import EngineLimits
from sluicegate.observe.log import LEVELS
from sluicegate.words import NOT_KNOWN, placed, suggestion

from .given_backends import GivenBackendError, given_backends, service_of

DEFAULT_ADMIN = "127.0.0.1:19000"
ENVIRONMENT_PREFIX = "SLUICEGATE_"
#: Seconds; a laptop's Ctrl-C should not take a minute. In a cluster the Deployment sets 60.
DEFAULT_DRAIN = 10.0
#: Seconds of a pod: those of its grace period, and until no balancer sends it new connections.
DEFAULT_POD_DRAIN, DEFAULT_SETTLE = 60.0, 5.0
MAX_PORT_OFFSET = 60_000
MAX_WORKERS = 256
#: Bytes of a settings file: stops a wrong path from filling the memory.
MAX_FILE_BYTES = 1024 * 1024
MAX_DRAIN, MAX_SETTLE = 3_600.0, 600.0
#: Seconds for which a certificate serves on after its Secret is gone: who issues one anew may delete the old one first.
DEFAULT_CERTIFICATE_GRACE, MAX_CERTIFICATE_GRACE = 300.0, 86_400.0
#: What `access_log` may be besides a path.
NO_FILES = frozenset({"off", "-", "auto"})
#: Settings that may be given several times, or separated by commas.
LISTS = frozenset({"listen", "address_pool", "status_address", "ingress_class", "backend"})
#: Table of the settings file that says the same as `backend`, and is easier to write.
BACKENDS_TABLE = "backends"


class SettingsError(ValueError):
    """A setting that cannot be used; the message says where it was given and what to write instead."""


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every process with an engine has.

    Attributes:
        workers: threads; 0: as many as cores may be used.
        drain: seconds that connections get to end after SIGTERM.
        admin: `address:port` of the admin listener, or `off`.
        access_log: `off`, `-` for standard output (standard error, where `output` is `json`), or a path.
        output: `text` or `json`.
        log_level: the least that is told: `debug`, `info`, `warning` or `error`.
        zone, node: where this gateway is, as endpoints say where they are; empty: not known.
        engine: limits and timeouts of the engine.
    """

    workers: int = 0
    drain: float = DEFAULT_DRAIN
    admin: str = DEFAULT_ADMIN
    access_log: str = "off"
    output: str = "text"
    log_level: str = "info"
    zone: str = ""
    node: str = ""
    engine: EngineLimits = EngineLimits()

    def engine_settings(self, state_directory: str) -> dict[str, Any]:
        """What the engine is started with; `state_directory`: what it keeps for the next start; empty: nowhere."""
        found: dict[str, Any] = msgspec.to_builtins(self.engine)
        found["workers"] = self.workers
        found.update({name: value for name, value in (("zone", self.zone), ("node", self.node)) if value})
        if state_directory:
            found["state_directory"] = state_directory
        if self.admin != "off":
            found["admin"] = self.admin
        log: dict[str, Any] = {"enabled": self.access_log not in {"off", "auto"}}
        if self.access_log not in NO_FILES:
            log["path"] = self.access_log
        elif self.output == "json":
            # Standard output has the lines of a schema alone, also where SIGUSR1 switches the log on.
            log["standard_error"] = True
        found["access_log"] = log
        return found


class Settings(EngineSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of a standalone gateway.

    Attributes:
        controller_name: `spec.controllerName` of the GatewayClasses to serve.
        access_log: as of every engine, or `auto`: on a terminal standard output, else off.
        access_log_format: `text` for people, `json` for programs, or `auto`: text on a terminal.
        self_signed: listeners whose Secret is missing get a certificate made at the start.
        color: whether text has colours: `auto` (on terminals), `always` or `never`.
        backend: where programs of Services listen, such as `default/cart=127.0.0.1:9001`, in place of EndpointSlices.
        listen: addresses to bind in place of those that Gateways ask for.
        port_offset: added to each listener's port.
        address_pool: networks and ranges that Gateways of a cluster get their addresses from.
        status_address: what Gateways of a cluster report that bind all addresses.
        namespace: where the controller keeps its Lease.
        certificate_grace: seconds for which a certificate of a cluster serves on after its Secret is gone.
        kubeconfig: path; empty: the pod's own account, else the usual kubeconfig.
        keep_going: wait for what is missing at the start, rather than end where nothing would be served.
        external_names: Services of type ExternalName lead to their hosts.
        local_external_hosts: names of external hosts may come to this machine (loopback).
        keys_directory: where keys of identity providers are kept for the next start; empty: nowhere.
        ingress: Ingresses are served.
        ingress_class: names of the classes of Ingresses that are served; one alone serves them.
        ingress_provider: whose annotations they have.
        ingress_config_map: `NAMESPACE/NAME` with the settings of that controller; empty: its defaults hold.
        ingress_default_certificate: `NAMESPACE/NAME` of a Secret for hosts without TLS; empty: port 443 lacks them.
        ingress_forwarding_headers: backends of Ingresses get the further fields of that controller that say where a
            request comes from, such as `X-Real-IP`.
        ingress_gateway: `NAMESPACE/NAME` of the Gateway that serves them; empty: of files one is made, of a cluster
            `ingress` in `namespace`.
        no_ingress_status: Ingresses of a cluster are not told the addresses of the Gateway.
    """

    controller_name: str = DEFAULT_CONTROLLER_NAME
    color: str = "auto"
    access_log: str = "auto"
    access_log_format: str = "auto"
    self_signed: bool = False
    backend: tuple[str, ...] = ()
    listen: tuple[str, ...] = ()
    port_offset: int = 0
    address_pool: tuple[str, ...] = ()
    status_address: tuple[str, ...] = ()
    namespace: str = "sluicegate-system"
    certificate_grace: float = DEFAULT_CERTIFICATE_GRACE
    kubeconfig: str = ""
    keep_going: bool = False
    external_names: bool = False
    local_external_hosts: bool = False
    keys_directory: str = ""
    ingress: bool = False
    ingress_class: tuple[str, ...] = ()
    ingress_provider: str = "nginx"
    ingress_config_map: str = ""
    ingress_default_certificate: str = ""
    ingress_forwarding_headers: bool = False
    ingress_gateway: str = ""
    no_ingress_status: bool = False

    def engine_settings(self, state_directory: str) -> dict[str, Any]:
        """As those of every engine; hosts of this machine are of use to a gateway for one's own machine only."""
        local = {"local_external_hosts": True} if self.local_external_hosts else {}
        found = {**EngineSettings.engine_settings(self, state_directory), **local}
        stream = sys.stderr if self.output == "json" else sys.stdout
        on_terminal = self.access_log in NO_FILES and is_terminal(stream)
        log = found["access_log"]
        log["enabled"] |= self.access_log == "auto" and on_terminal and self.output == "text"
        if self.access_log_format == "text" or (self.access_log_format == "auto" and on_terminal):
            color = self.access_log in NO_FILES and wants_color(self.color, stream, os.environ)
            log |= {"text": True, "color": color, "utc_offset": time.localtime().tm_gmtoff}
        return found


class DemoSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of `sluicegate demo`: for this machine alone, on ports that anybody may bind, https without a Secret."""

    port_offset: int = 8000
    listen: tuple[str, ...] = ("127.0.0.1",)
    self_signed: bool = True


class GatewaySettings(EngineSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of a data plane (`sluicegate gateway`).

    Attributes:
        settle: seconds that new connections are still taken after SIGTERM; `drain` begins after them.
    """

    drain: float = DEFAULT_POD_DRAIN
    settle: float = DEFAULT_SETTLE


_S = TypeVar("_S", bound=EngineSettings)


_Standalone = TypeVar("_Standalone", bound=Settings)


def load_settings(
    flags: Mapping[str, Any],
    environment: Mapping[str, str],
    path: str | None = None,
    *,
    kind: type[_Standalone] = Settings,  # type: ignore[assignment]
) -> _Standalone:
    """Put the settings of a standalone gateway together.

    Args:
        flags: by field name; None where not given.
        environment: `os.environ`.
        path: the settings file; None: as `SLUICEGATE_CONFIG` says, else none.
        kind: of the settings: their defaults.

    Raises:
        SettingsError: something that cannot be used.
    """
    settings, places = _merge(kind, flags, environment, path)
    _check_listening(settings, places)
    return settings


def load_gateway_settings(
    flags: Mapping[str, Any], environment: Mapping[str, str], path: str | None = None
) -> GatewaySettings:
    """Put the settings of a data plane together; arguments and errors as those of `load_settings`."""
    settings, places = _merge(GatewaySettings, flags, environment, path)
    if not 0 <= settings.settle <= MAX_SETTLE:
        raise _refusal(places, "settle", f"{settings.settle} seconds are not between 0 and {MAX_SETTLE:.0f}")
    return settings


def load_offline_settings(
    flags: Mapping[str, Any], environment: Mapping[str, str], path: str | None = None
) -> Settings:
    """The settings of a gateway, for commands that say what it does and do not serve.

    What is only of use to a gateway that serves, such as where its access log goes, is not looked at. Arguments and
    errors as those of `load_settings`.
    """
    settings, places = _convert(Settings, flags, environment, path)
    _check_engine(settings, places)
    _check_listening(settings, places)
    return settings


def _merge(
    kind: type[_S], flags: Mapping[str, Any], environment: Mapping[str, str], path: str | None
) -> tuple[_S, dict[str, str]]:
    """Merge the layers and look at each value; returns the settings, and where each that was given comes from."""
    settings, places = _convert(kind, flags, environment, path)
    _check(settings, places)
    return settings, places


def _convert(
    kind: type[_S], flags: Mapping[str, Any], environment: Mapping[str, str], path: str | None
) -> tuple[_S, dict[str, str]]:
    path = path or environment.get(f"{ENVIRONMENT_PREFIX}CONFIG")
    merged: dict[str, Any] = {}
    places: dict[str, str] = {}
    layers = (
        (_from_file(path), lambda name: f"{path}: {name}"),
        (_from_environment(kind.__struct_fields__, environment), variable_of),
        (flags, option_of),
    )
    for layer, place_of in layers:
        for name, value in layer.items():
            if value is not None:
                merged[name] = value if name != "backend" else _said_last(merged.get(name, []), value)
                places[name] = place_of(name)
    try:
        return msgspec.convert(merged, kind, strict=False), places
    except msgspec.ValidationError as error:
        field, reason = placed(str(error))
        name = re.split(r"[.\[]", field, maxsplit=1)[0]
        if reason == NOT_KNOWN:
            within, _, last = field.rpartition(".")
            known = EngineLimits.__struct_fields__ if within == "engine" else kind.__struct_fields__
            reason += suggestion(last, known)
        raise SettingsError(
            f"{places.get(name, name)}{field[len(name) :]}: {_with_value(merged, field, reason)}"
        ) from None


def _said_last(before: object, value: object) -> object:
    """Backends of two layers: what the upper one says of a Service is all of it, others stay."""
    if not (isinstance(before, list) and isinstance(value, list)):
        return value  # of a type that is told later
    named = {service_of(item) for item in value if isinstance(item, str)}
    return [*(item for item in before if not isinstance(item, str) or service_of(item) not in named), *value]


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return f"{ENVIRONMENT_PREFIX}{name.upper()}"


def option_of(name: str) -> str:
    """The option of a setting."""
    return f"--{name.replace('_', '-')}"


def _with_value(merged: Mapping[str, Any], field: str, reason: str) -> str:
    """A reason with the value that it is about, where it is a single one."""
    found: object = merged
    for part in field.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    is_shown = isinstance(found, (str, int, float)) and not isinstance(found, bool) and repr(found) not in reason
    return f"{found!r}: {reason}" if is_shown else reason


def _from_file(path: str | None) -> dict[str, Any]:
    if not path:
        return {}
    try:
        data = plain_file.read(path, MAX_FILE_BYTES, "settings file")
        found = msgspec.toml.decode(data.removeprefix(codecs.BOM_UTF8))
    except OSError as error:
        raise SettingsError(f"{path}: the settings file cannot be read: {error.strerror}") from None
    except plain_file.PlainFileError as error:
        raise SettingsError(str(error)) from None
    except (msgspec.DecodeError, ValueError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from None
    for name in LISTS:
        if isinstance(found.get(name), str):
            found[name] = [found[name]]
    _join_table(path, found)
    return dict(found)


def _join_table(path: str, found: dict[str, Any]) -> None:
    """Put the lines of the table among the backends: each key is a Service, its value a place or a list of them."""
    table = found.pop(BACKENDS_TABLE, {})
    if not isinstance(table, dict):
        example = '"default/cart" = "127.0.0.1:9001"'
        raise SettingsError(f"{path}: {BACKENDS_TABLE}: a table is expected, such as {example}")
    places = [(key, item) for key, value in table.items() for item in (value if isinstance(value, list) else [value])]
    if places and isinstance(found.setdefault("backend", []), list):
        found["backend"] += [f"{key}={item}" for key, item in places]


def _from_environment(names: Iterable[str], environment: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in names:
        if name == "engine":  # a table, in the file only
            continue
        value = environment.get(ENVIRONMENT_PREFIX + name.upper())
        if value:
            found[name] = [part.strip() for part in value.split(",")] if name in LISTS else value
    return found


def _refusal(places: Mapping[str, str], name: str, reason: str) -> SettingsError:
    return SettingsError(f"{places.get(name, option_of(name))}: {reason}")


def _check(settings: EngineSettings, places: Mapping[str, str]) -> None:
    if not 0 <= settings.workers <= MAX_WORKERS:
        raise _refusal(places, "workers", f"{settings.workers} is not between 0 (a thread per core) and {MAX_WORKERS}")
    if not 0 <= settings.drain <= MAX_DRAIN:
        raise _refusal(places, "drain", f"{settings.drain} seconds are not between 0 and {MAX_DRAIN:.0f}")
    if settings.admin != "off" and not _is_socket_address(settings.admin):
        text = f"{settings.admin!r} is no address and port, such as {DEFAULT_ADMIN}, nor `off`"
        raise _refusal(places, "admin", text)
    if settings.output not in {"text", "json"}:
        raise _refusal(places, "output", f"{settings.output!r} is neither text nor json")
    if settings.log_level not in LEVELS:
        raise _refusal(places, "log_level", f"{settings.log_level!r} is none of {', '.join(LEVELS)}")
    if settings.access_log not in NO_FILES:
        _check_log(settings.access_log, places)
    _check_engine(settings, places)


def _check_engine(settings: EngineSettings, places: Mapping[str, str]) -> None:
    for field, reason in settings.engine.network_faults():
        raise SettingsError(f"{places['engine']}.{field}: {reason}")


def _check_log(path: str, places: Mapping[str, str]) -> None:
    folder = os.path.dirname(path) or "."
    if os.path.isdir(path):
        raise _refusal(places, "access_log", f"{path} is a directory: name a file in it")
    if not os.path.isdir(folder):
        raise _refusal(places, "access_log", f"the directory {folder} of {path} does not exist: create it")
    if not os.access(path if os.path.exists(path) else folder, os.W_OK):
        raise _refusal(places, "access_log", f"{path} cannot be written by user {os.geteuid()}: give it the permission")


def _check_listening(settings: Settings, places: Mapping[str, str]) -> None:
    if settings.access_log_format not in {"auto", "text", "json"}:
        text = f"{settings.access_log_format!r} is none of auto, text, json"
        raise _refusal(places, "access_log_format", text)
    if settings.color not in COLORS:
        raise _refusal(places, "color", f"{settings.color!r} is none of {', '.join(COLORS)}")
    try:
        given_backends(settings.backend)
    except GivenBackendError as error:
        raise _refusal(places, "backend", str(error)) from None
    for address in settings.listen:
        if not _is_address(address):
            text = f"{address!r} is not an IP address, such as 127.0.0.1 or ::1"
            text += ", and may not have a zone" if "%" in address else ""
            raise _refusal(places, "listen", text)
    if not 0 <= settings.port_offset <= MAX_PORT_OFFSET:
        raise _refusal(places, "port_offset", f"{settings.port_offset} is not between 0 and {MAX_PORT_OFFSET}")
    if not 0 <= settings.certificate_grace <= MAX_CERTIFICATE_GRACE:
        text = f"{settings.certificate_grace} seconds are not between 0 and {MAX_CERTIFICATE_GRACE:.0f}"
        raise _refusal(places, "certificate_grace", text)


def _is_address(value: str) -> bool:
    """Whether it is an IP address as the engine reads one: without a zone."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return "%" not in value


def _is_socket_address(value: str) -> bool:
    host, _, port = value.rpartition(":")
    if not _is_address(host[1:-1] if host.startswith("[") and host.endswith("]") else host):
        return False
    return port.isascii() and port.isdigit() and int(port) <= 0xFFFF
