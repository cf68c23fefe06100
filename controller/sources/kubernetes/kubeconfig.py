"""Reading a kubeconfig by the official client's loader; loaded only where there is one (see `access`)."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any

from kubernetes.aio.config import ConfigException, kube_config

from .access import Configuration
from .exec_plugin import Plugin


def load(path: str | None, context: str | None) -> tuple[Callable[[Configuration], Awaitable[None]], Plugin | None]:
    """Read a kubeconfig.

    Args:
        path: of the file; None: the usual ones.
        context: in it; None: the current one.

    Returns:
        What puts what it and the files that it names say now into a configuration; and the plugin of the user.

    Raises:
        ConfigException: it cannot be used.
        OSError: it cannot be read.
    """
    merged = kube_config.KubeConfigMerger(path or kube_config.KUBE_CONFIG_DEFAULT_LOCATION)  # type: ignore[no-untyped-call]
    if merged.config is None:
        raise ConfigException("there is no kubeconfig")
    loader = _Loader(config_dict=merged.config, active_context=context)
    return loader.load_and_set, loader.plugin()


class _Loader(kube_config.KubeConfigLoader):
    """The official loader, but for plugins: its own run them without a limit, and once."""

    def __init__(self, config_dict: object, active_context: str | None) -> None:
        super().__init__(config_dict, active_context, config_base_path=None)  # type: ignore[no-untyped-call]

    async def load_from_exec_plugin(self) -> None:
        return None

    def plugin(self) -> Plugin | None:
        """The plugin of the user, if it has one."""
        user: Any = self._user
        if user is None or "exec" not in user:
            return None
        cluster: Any = self._cluster
        folder = os.path.abspath(os.path.dirname(user.path)) if user.path else ""
        return Plugin(user["exec"].value, cluster.value, folder)
