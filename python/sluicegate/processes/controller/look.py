"""How near the pods of data planes are to the newest configuration, as the config stream knows it."""

from __future__ import annotations

from sluicegate.controller.stream.server import StreamServer
from sluicegate.controller.stream.session import Session
from sluicegate.controller.translate import Translation

from ..viewed import ServingPod

_AWAY = "no pod of it is connected to this controller: see its pods, or whether another replica leads"


def serving_pods(server: StreamServer, translation: Translation) -> tuple[ServingPod, ...]:
    """Each pod that is connected, and each data plane that has none.

    Args:
        server: that they are connected to.
        translation: has the data planes that are wanted.
    """
    unfit = {"/".join(key): text for key, text in server.unfit().items()}
    pods = [_pod("/".join(key), name, session, unfit) for key, name, session in server.sessions()]
    connected = {item.data_plane for item in pods}
    missing = (name for name in translation.infrastructure if name not in connected)
    return (*sorted(pods), *(ServingPod(name, "", "away", 0, unfit.get(name, _AWAY)) for name in sorted(missing)))


def _pod(plane: str, name: str, session: Session, unfit: dict[str, str]) -> ServingPod:
    refusals = [*session.refusals, *session.held.values()]
    if refusals:
        reason = "; ".join(f"{item.kind} {item.id}: {item.reason}" for item in refusals)
        return ServingPod(plane, name, "refused", session.generation, reason)
    if plane in unfit:
        return ServingPod(plane, name, "refused", session.generation, unfit[plane])
    if session.behind:
        return ServingPod(plane, name, "behind", session.generation, "it has not acknowledged the newest transaction")
    return ServingPod(plane, name, "current", session.generation)
