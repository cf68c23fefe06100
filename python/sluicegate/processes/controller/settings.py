"""Settings of `sluicegate controller`: flags, then environment variables, then what the pod says, then defaults."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from sluicegate.controller import DEFAULT_CONTROLLER_NAME
from sluicegate.observe.log import LEVELS
from sluicegate.processes.settings import (
    DEFAULT_CERTIFICATE_GRACE,
    LISTS,
    MAX_CERTIFICATE_GRACE,
    option_of,
    variable_of,
)

DEFAULT_NAMESPACE = "sluicegate-system"
#: Name of the Service of the config stream.
NAME = "sluicegate-controller"
POLICIES = ("Always", "IfNotPresent", "Never")
MAX_PORT = 0xFFFF

#: Settings that are true or false.
_SWITCHES = frozenset({"external_names", "ingress", "ingress_forwarding_headers", "no_ingress_status"})
_HOST = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


class ControllerSettingsError(ValueError):
    """A setting that cannot be used; the message says which, and what to write instead."""


class ControllerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of a controller.

    Attributes:
        controller_name: `spec.controllerName` of the GatewayClasses to serve.
        kubeconfig: path; empty: the pod's own account, else the usual kubeconfig.
        namespace: of the Lease, of the Secret with the CA, and of shared data planes.
        image: of data planes.
        image_pull_policy: of data planes; empty: as Kubernetes thinks.
        stream_address: `address:port` to serve the config stream on.
        stream_name: `host:port` as data planes dial it.
        admin: `address:port` of /healthz, /readyz and /metrics, or `off`.
        output: `text` or `json`.
        log_level: the least that is told: `debug`, `info`, `warning` or `error`.
        certificate_grace: seconds for which a certificate serves on after its Secret is gone.
        external_names: Services of type ExternalName lead to their hosts.
        ingress: Ingresses are served.
        ingress_class: names of the classes of Ingresses that are served; one alone serves them.
        ingress_provider: whose annotations they have.
        ingress_config_map: `NAMESPACE/NAME` with the settings of that controller; empty: its defaults hold.
        ingress_default_certificate: `NAMESPACE/NAME` of a Secret for hosts without TLS; empty: port 443 lacks them.
        ingress_forwarding_headers: backends of Ingresses get the further fields of that controller that say where a
            request comes from, such as `X-Real-IP`.
        ingress_gateway: `NAMESPACE/NAME` of the Gateway that serves them; empty: `ingress` in `namespace`.
        no_ingress_status: Ingresses are not told the addresses of the Gateway.
        pod: name of this pod.
    """

    controller_name: str = DEFAULT_CONTROLLER_NAME
    kubeconfig: str = ""
    namespace: str = DEFAULT_NAMESPACE
    image: str = ""
    image_pull_policy: str = ""
    stream_address: str = "0.0.0.0:18000"
    stream_name: str = ""
    admin: str = "127.0.0.1:19000"
    output: str = "text"
    log_level: str = "info"
    certificate_grace: float = DEFAULT_CERTIFICATE_GRACE
    external_names: bool = False
    ingress: bool = False
    ingress_class: tuple[str, ...] = ()
    ingress_provider: str = "nginx"
    ingress_config_map: str = ""
    ingress_default_certificate: str = ""
    ingress_forwarding_headers: bool = False
    ingress_gateway: str = ""
    no_ingress_status: bool = False
    pod: str = ""

    @property
    def stream_host(self) -> str:
        """The name that the certificate of the stream is for."""
        return self.stream_name.rpartition(":")[0].strip("[]")


def load_controller_settings(
    flags: Mapping[str, Any], environment: Mapping[str, str], version: str
) -> ControllerSettings:
    """Put the settings together.

    Args:
        flags: by field name; None where not given.
        environment: `os.environ`; `POD_NAME` and `POD_NAMESPACE` are the pod's.
        version: of this program: data planes run the same unless an image is given.

    Raises:
        ControllerSettingsError: something that cannot be used.
    """
    given: dict[str, Any] = {}
    places: dict[str, str] = {}
    for name in ControllerSettings.__struct_fields__:
        value = flags.get(name) or environment.get(variable_of(name))
        if value:
            given[name] = value if name in LISTS and isinstance(value, list) else str(value)
            places[name] = option_of(name) if flags.get(name) else variable_of(name)
    given.setdefault("namespace", environment.get("POD_NAMESPACE") or DEFAULT_NAMESPACE)
    given.setdefault("pod", environment.get("POD_NAME") or "")
    given.setdefault("image", f"sluicegate:{version}")
    given.setdefault("stream_name", f"{NAME}.{given['namespace']}.svc:18000")
    if "certificate_grace" in given:
        given["certificate_grace"] = _seconds(places, "certificate_grace", given["certificate_grace"])
    for name in _SWITCHES & given.keys():
        given[name] = _switch(places, name, given[name])
    if isinstance(written := given.get("ingress_class", ()), str):
        written = written.split(",")
    given["ingress_class"] = tuple(filter(None, map(str.strip, written)))
    settings = ControllerSettings(**given)
    _check(settings, places)
    return settings


def _check(settings: ControllerSettings, places: Mapping[str, str]) -> None:
    if not _is_address(settings.stream_address):
        raise _refusal(places, "stream_address", settings.stream_address, "an address and port, such as 0.0.0.0:18000")
    host, _, port = settings.stream_name.rpartition(":")
    if not (_HOST.fullmatch(host) or _is_address(settings.stream_name)) or not _is_port(port):
        raise _refusal(
            places,
            "stream_name",
            settings.stream_name,
            f"a host and port, such as {NAME}.{DEFAULT_NAMESPACE}.svc:18000",
        )
    if settings.admin != "off" and not _is_address(settings.admin):
        raise _refusal(places, "admin", settings.admin, "an address and port, such as 0.0.0.0:19000, nor `off`")
    if settings.image_pull_policy and settings.image_pull_policy not in POLICIES:
        raise _refusal(places, "image_pull_policy", settings.image_pull_policy, f"one of {', '.join(POLICIES)}")
    if settings.output not in {"text", "json"}:
        raise _refusal(places, "output", settings.output, "text or json")
    if settings.log_level not in LEVELS:
        raise _refusal(places, "log_level", settings.log_level, f"one of {', '.join(LEVELS)}")


def _seconds(places: Mapping[str, str], name: str, text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found <= MAX_CERTIFICATE_GRACE:
        raise _refusal(places, name, text, f"a number of seconds from 0 to {MAX_CERTIFICATE_GRACE:.0f}")
    return found


def _switch(places: Mapping[str, str], name: str, text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise _refusal(places, name, text, "true or false")
    return text.lower() == "true"


def _refusal(places: Mapping[str, str], name: str, value: str, wanted: str) -> ControllerSettingsError:
    return ControllerSettingsError(f"{places.get(name, option_of(name))}: {value!r} is not {wanted}")


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) <= MAX_PORT


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    try:
        ipaddress.ip_address(host[1:-1] if host.startswith("[") and host.endswith("]") else host)
    except ValueError:
        return False
    return _is_port(port)
