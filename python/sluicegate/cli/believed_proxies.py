"""Proxies that settings trust, where these are everybody; of a ClientPolicy the translator tells it.

The settings file has them as `[engine] trusted_proxies`, GatewayParameters as `proxy.engine.trusted_proxies`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sluicegate.controller.api import Diagnostic, GatewayParameters, ObjectKey, placed_at
from sluicegate.controller.store.snapshot import Snapshot
from sluicegate.controller.translate.policies.networks import NAME_PROXIES, TRUSTS_EVERYBODY, trusts_everybody

_SETTING = "engine.trusted_proxies"


def of_settings(trusted: Iterable[str], path: str) -> Iterator[Diagnostic]:
    """Tell of the settings file; `path`: where it is."""
    if means := trusts_everybody(trusted):
        yield _told(means, field=_SETTING, path=path)


def of_parameters(snapshot: Snapshot) -> Iterator[Diagnostic]:
    """Tell of GatewayParameters, whether or not something refers to them."""
    for pair, item in snapshot.table("GatewayParameters").items():
        engine = item.spec.proxy.engine if isinstance(item, GatewayParameters) else None
        trusted = (engine or {}).get("trusted_proxies")
        networks = [text for text in trusted if isinstance(text, str)] if isinstance(trusted, (list, tuple)) else []
        if means := trusts_everybody(networks):
            key = ObjectKey("GatewayParameters", *pair)
            told = _told(means, field=f"spec.proxy.{_SETTING}", about=str(key))
            origin = snapshot.origin(key)
            yield placed_at(told, origin) if origin is not None else told


def _told(means: str, *, field: str, path: str = "", about: str = "") -> Diagnostic:
    return Diagnostic(
        path=path,
        severity="warning",
        object=about,
        field=field,
        code=TRUSTS_EVERYBODY,
        message=means,
        remedy=NAME_PROXIES,
    )
