"""ConfigMaps among the objects that no conversion reads and somebody may miss: ports of a controller, and its settings.

Source: `--tcp-services-configmap`, `--udp-services-configmap` and `--configmap` of ingress-nginx.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..api.ingress import TextMap
from .inventory import Inventory
from .losses import Ledger
from .options import Options
from .port_maps import is_port_map
from .provider import Provider


def tell_other_maps(inventory: Inventory, provider: Provider, options: Options, ledger: Ledger) -> None:
    """Tell of ports that are no Ingresses', and of settings that nobody has named."""
    if provider.traits.has_port_maps:
        for name, item in inventory.config_maps.items():
            if name not in (options.tcp_services, options.udp_services):
                _tell_ports(item, inventory, ledger)
    if options.config_map is None:
        found = [item for item in inventory.config_maps.values() if _is_settings(item, provider)]
        _tell_settings(found, provider, inventory, ledger)


def _tell_ports(item: TextMap, inventory: Inventory, ledger: Ledger) -> None:
    if not is_port_map(item):
        return
    option = "--udp-services-configmap" if "udp" in item.name else "--tcp-services-configmap"
    for key, value in item.data.items():
        message = f"port {key} goes to {str(value).strip()}: it is no Ingress's, and nothing is made of it"
        remedy = f"give it by {option} {item.namespace}/{item.name} if it is meant"
        ledger.tell(inventory.of_key(item, key), "no-equivalent", message, remedy)


def _is_settings(item: TextMap, provider: Provider) -> bool:
    """Whether all of its keys are settings of the controller, and one of them says what is no default."""
    rows = provider.settings
    if not item.data or not item.data.keys() <= rows.keys():
        return False
    return any(str(value).strip() != rows[key].default for key, value in item.data.items())


def _tell_settings(found: Iterable[TextMap], provider: Provider, inventory: Inventory, ledger: Ledger) -> None:
    for item in found:
        name = f"{item.namespace}/{item.name}"
        message = f"its keys are settings of {provider.title}, and it is not read: the defaults hold"
        cause = inventory.cause(item, "data")
        ledger.tell(cause, "converted-with-difference", message, f"give it by --config-map {name} if it is meant")
