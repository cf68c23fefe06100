"""A client of a cluster's API server, for commands that ask it once and end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sluicegate.controller.sources.kubernetes.client import ApiError, Client

from .cluster_error import ClusterError
from .exit_status import ExitStatus

_T = TypeVar("_T")


def ask_cluster(kubeconfig: str | None, job: Callable[[Client], Awaitable[_T]]) -> _T:
    """Do something with a client of the cluster.

    Args:
        kubeconfig: path; None: the pod's own account, else the usual one.
        job: what is done.

    Raises:
        ClusterError: it cannot be reached, or does not answer.
    """

    async def ask() -> _T:
        try:
            client = await Client.load(kubeconfig)
        except ApiError as error:
            raise ClusterError(str(error), ExitStatus.USAGE) from None
        async with client:
            return await job(client)

    try:
        return asyncio.run(ask())
    except ApiError as error:
        raise ClusterError(str(error), ExitStatus.FAILED) from None
    except TimeoutError:
        raise ClusterError("the cluster does not answer in time", ExitStatus.FAILED) from None
