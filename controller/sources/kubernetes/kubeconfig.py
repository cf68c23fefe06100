"""A kubeconfig: what it says now, in words where it cannot be used. Loaded only where there is one (see `access`).

The official loader does the work; it takes the form of the file for granted, and runs plugins without a limit and once.
"""

from __future__ import annotations

import os
from typing import Any

import yaml
from kubernetes.aio.config import ConfigException, kube_config

from ... import plain_file
from .access import MAX_FILE, Configuration, CredentialsError
from .exec_plugin import Plugin

#: Bytes of one kubeconfig: a thousand clusters with their certificates.
MAX_KUBECONFIG = 8 * 1024 * 1024
REMEDY = "correct it, or give another one by --kubeconfig"


async def read(path: str | None, context: str | None, configuration: Configuration) -> Plugin | None:
    """Read a kubeconfig and the files that it names.

    Args:
        path: of the file, or of several; None: as `KUBECONFIG` says, else the usual one.
        context: of the file; None: its current one.
        configuration: is filled.

    Returns:
        The plugin that issues the credentials of its user, if it names one.

    Raises:
        CredentialsError: it cannot be read or used.
    """
    name = path or kube_config.KUBE_CONFIG_DEFAULT_LOCATION
    _check(name)
    try:
        merged = kube_config.KubeConfigMerger(name)  # type: ignore[no-untyped-call]
        loader = _Loader(config_dict=merged.config, active_context=context)
        plugin = loader.plugin()
        await loader.load_and_set(configuration)  # type: ignore[no-untyped-call]
    except ConfigException as error:
        raise _unusable(name, str(error)) from None
    except plain_file.PlainFileError as error:
        raise CredentialsError(f"{error} in the kubeconfig {name}") from None
    except OSError as error:
        what = f"{error.filename}, which the kubeconfig {name} names"
        raise CredentialsError(f"{what}, cannot be read: {error.strerror}") from None
    server = str(configuration.host)
    if not server.startswith(("https://", "http://")):
        text = f"the server of the cluster is no URL: {server!r}, such as https://127.0.0.1:6443"
        raise CredentialsError(f"the kubeconfig {name} cannot be used: {text}")
    return plugin


def _check(name: str) -> None:
    """See that there is a file, and that each is an object."""
    found = False
    for path in name.split(kube_config.ENV_KUBECONFIG_PATH_SEPARATOR):
        try:
            text = plain_file.read(os.path.expanduser(path), MAX_KUBECONFIG, "kubeconfig").decode()
            document = yaml.safe_load(text)
        except FileNotFoundError:
            continue  # as kubectl
        except plain_file.PlainFileError as error:
            raise CredentialsError(str(error)) from None
        except OSError as error:
            raise CredentialsError(f"the kubeconfig {path} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise _unusable(path, "it is no text") from None
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            place = f", line {mark.line + 1}" if mark is not None else ""
            raise _unusable(path, f"it is no YAML ({getattr(error, 'problem', None) or error}{place})") from None
        found = True
        if document is None:
            raise _unusable(path, "it is empty")
        if not isinstance(document, dict):
            raise _unusable(path, f"an object is expected, not a {type(document).__name__}")
    if not found:
        raise CredentialsError(f"there is no kubeconfig {name}")


def _unusable(path: str, why: str) -> CredentialsError:
    return CredentialsError(f"the kubeconfig {path} cannot be used: {why}; {REMEDY}")


class _Loader(kube_config.KubeConfigLoader):
    """The official loader, but for plugins, and for files that are none: it waits for a pipe, and reads a device."""

    def __init__(self, config_dict: object, active_context: str | None) -> None:
        super().__init__(config_dict, active_context, config_base_path=None)  # type: ignore[no-untyped-call]

    async def load_from_exec_plugin(self) -> None:
        return None

    def _load_user_token(self) -> bool | None:
        user: Any = self._user
        self._see(user, "tokenFile", "token", user.path)
        found: bool | None = super()._load_user_token()  # type: ignore[no-untyped-call]
        return found

    def _load_cluster_info(self) -> None:
        cluster: Any = self._cluster
        if str(cluster.safe_get("server")).startswith("https"):
            self._see(cluster, "certificate-authority", "certificate-authority-data", cluster.path)
            for name in ("client-certificate", "client-key"):
                self._see(self._user, name, f"{name}-data", cluster.path)
        super()._load_cluster_info()  # type: ignore[no-untyped-call]

    def _see(self, node: kube_config.ConfigNode | None, name: str, data: str, kubeconfig: str | None) -> None:
        """See that a file is one that may be read, where a field names one and none has its content.

        Raises:
            PlainFileError: it is none.
            OSError: it cannot be read.
        """
        if node is not None and name in node and data not in node:
            folder = self._get_base_path(kubeconfig)  # type: ignore[no-untyped-call]
            plain_file.read(os.path.normpath(os.path.join(folder, node[name])), MAX_FILE, name)

    def plugin(self) -> Plugin | None:
        """The plugin of the user, if it has one."""
        user: Any = self._user
        if user is None or "exec" not in user:
            return None
        cluster: Any = self._cluster
        folder = os.path.abspath(os.path.dirname(user.path)) if user.path else ""
        return Plugin(user["exec"].value, cluster.value, folder)
