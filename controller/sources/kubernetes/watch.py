"""One watch: list, then follow, for ever. A state machine whose every exit is a way back in.

    list (pages) --> watch --(bookmark, event)--> watch
      ^  ^             |  |
      |  +---410-------+  +--- end, silence, broken line, other errors: watch again from the last version seen
      +--- after errors that last: wait (growing, with jitter), then list again

An end and 410 are followed up at once, but not in a row: after two watches that were short and brought nothing the next
one waits as after an error (client-go's "very short watch").

Rules:
- An error never counts as an empty list: the store keeps what it has until a list is complete (`Init` .. `InitDone`).
- The server ends a watch after `SERVER_LIMIT`; a connection without a byte for `SILENCE` is taken for dead. (A silent
  stall is the most reported failure of watchers in Python.)
- 410 Gone, as a status or inside the stream, means: list again and replace.
- An object that cannot be read costs itself only (`documents`).
- What may not be read (403) is told and asked for again. Before it was listed once, what the rest can do without counts
  as empty after a while; what guards others (policies), or is needed, is waited for.
- A kind that the API server does not have in any version that is read is empty, and asked for again from time to time:
  nothing waits for it. It counts as missing when it was not found twice. One that the gateway cannot do without
  (`Resource.required`) and that was listed before keeps what it had: what the API server really deleted with a CRD it
  told object by object, and the rest must not go because of how the API is served at the moment.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
import msgspec

from ... import caught
from ...api import GATEWAY_GROUP
from ...api.kind import Kind
from ...api.kinds import BY_NAME
from ...complain import Complain
from ...store.store import Delete, Init, InitDone
from .client import REQUEST_LIMIT, ApiError, Client, decoded
from .documents import Documents, Seen, Tell, metadata_of
from .resources import Resource

#: Seconds after which the API server ends a watch.
SERVER_LIMIT = 240
#: Seconds without a byte; bookmarks come about every minute.
SILENCE = 300.0
#: Objects in a page of a list.
PAGE = 500
#: Seconds from which on a watch was of use although it brought nothing; shorter ones in a row are not reopened at once.
SHORT = 1.0
#: Seconds before the first and the longest wait after an error, and between watches that are short and bring nothing.
FIRST_WAIT, LONGEST_WAIT = 0.2, 15.0
#: Seconds between looks for a kind that the cluster does not have.
MISSING_WAIT = 10.0
#: Seconds before the second look for a kind that was not found.
CONFIRM_WAIT = 0.5
#: Seconds of refusals (403) after which a kind that the rest can do without counts as empty: a role that is older than
#: the program must not keep it from serving.
REFUSED_WAIT = 10.0
#: One event; the API server takes objects of 3 MiB at most.
MAX_LINE = 16 * 1024 * 1024
#: Seconds without any progress, failures included, after which a watch is dead: more than all limits in a row.
DEAD = SILENCE + REQUEST_LIMIT + 2 * LONGEST_WAIT


class _ListMeta(msgspec.Struct):
    resource_version: str = msgspec.field(name="resourceVersion", default="")
    token: str = msgspec.field(name="continue", default="")


class _List(msgspec.Struct):
    metadata: _ListMeta
    items: list[dict[str, Any]] | None = None


class _Named(msgspec.Struct):
    name: str


class _Kinds(msgspec.Struct):
    """`APIResourceList`."""

    resources: list[_Named] = []


class _Event(msgspec.Struct):
    type: str
    object: dict[str, Any]


class Gone(Exception):  # noqa: N818 (the API's word)
    """The version to follow from is no longer known: list again."""


_EVENTS = msgspec.json.Decoder(_Event)


class Watch:
    """Follows one kind."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        tell: Tell,
        complain: Complain,
        seen: Seen | None = None,
        kinds: Mapping[str, Kind] = BY_NAME,
    ) -> None:
        """Make a watch.

        Args:
            client: of the API server.
            resource: what to follow.
            tell: takes the events; called on the event loop.
            complain: takes a code and a message about what does not work.
            seen: takes each object as the API has it, status and all, before `tell`.
            kinds: those that become structs, by name.
        """
        self._documents = Documents(tell, complain, seen, kinds)
        self._client = client
        self._wanted = self._resource = resource
        self._rest = list(resource.versions[1:])
        self._tell = tell
        self._complain = complain
        self._version = ""
        self._wait = FIRST_WAIT
        #: Watches in a row that were short and brought nothing.
        self._vain = 0
        self._told_missing = self._told_older = False
        self._absences = 0
        self._listed = False
        #: When it was first refused, by the monotonic clock; None: it is not.
        self._refused: float | None = None
        self._moved = time.monotonic()
        self.alive = asyncio.Event()

    @property
    def kind(self) -> str:
        """What it follows."""
        return self._resource.kind

    def is_dead(self, now: float) -> bool:
        """Whether it stands still; an API server that is away is no reason: trying again is progress."""
        return now - self._moved > DEAD

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            self._moved = time.monotonic()
            try:
                if not self._version:
                    await self._list()
                    self._found()
                    self.alive.set()
                await self._follow()
            except Gone:
                self._version = ""
            except ApiError as error:
                if error.status != 410:
                    await self._recover(error)
                    continue
                self._version = ""
            except Exception as error:  # nothing that one kind brings may end the watches of the others
                self._version = ""
                self._complain("fault", f"the watch of {self.kind}: {caught.note('watch', error)}; it is tried again")
                await self._pause()
                continue
            self._vain += 1
            if self._vain > 1:
                await self._pause()

    def _useful(self) -> None:
        """The watch is worth having: whatever comes next is done at once."""
        self._wait, self._vain = FIRST_WAIT, 0

    async def _pause(self) -> None:
        await asyncio.sleep(self._wait * random.uniform(0.7, 1.3))  # noqa: S311 (jitter)
        self._wait = min(self._wait * 2, LONGEST_WAIT)

    async def _recover(self, error: ApiError) -> None:
        kind = self._resource.kind
        if error.status == 404 and not self._version:
            await self._missing()
            return
        if error.status == 403 and await self._is_unknown():
            await self._missing()
            return
        if error.status in {401, 403}:
            self._refuse(error)
            remedy = (
                "the controller's ClusterRole" if error.status == 403 else "the credentials of the kubeconfig or pod"
            )
            outcome = "" if self._listed or not self.alive.is_set() else "; until then there is none of it"
            self._complain("watch_refused", f"{kind} cannot be watched: {error}; look at {remedy}{outcome}")
        elif error.status != 0 or self._wait >= 1:
            self._complain("watch_failed", f"the watch of {kind} failed: {error}; it is tried again")
        if error.status == 404:
            self._resource, self._rest = self._wanted, list(self._wanted.versions[1:])
        # The list is worth having again where the server said something was wrong with what we asked.
        if 400 <= error.status < 500 and error.status not in {401, 403, 429}:
            self._version = ""
        await self._pause()

    def _refuse(self, error: ApiError) -> None:
        """It may not be read: what others can do without counts as empty, soon; what was listed stays."""
        now = time.monotonic()
        self._refused = self._refused if self._refused is not None else now
        resource = self._resource
        lasts = error.status == 403 and now - self._refused >= REFUSED_WAIT
        if not self._listed and (resource.minor or (lasts and not resource.required and not resource.guards)):
            self._nothing()

    async def _is_unknown(self) -> bool:
        """Whether the API server does not even have a kind that it forbids to read; everybody may ask that."""
        resource = self._resource
        if self._listed:
            return False
        try:
            found = decoded(await self._client.get(resource.prefix), _Kinds, f"the kinds of {resource.version}")
        except ApiError as error:
            return error.status == 404
        return all(item.name != resource.plural for item in found.resources)

    async def _missing(self) -> None:
        """The cluster does not have this kind in this version: try the next, or wait."""
        if self._rest:
            self._resource = self._rest.pop(0)
            return
        resource = self._resource = self._wanted
        self._rest = list(resource.versions[1:])
        self._absences += 1
        if self._absences == 1:
            await asyncio.sleep(CONFIRM_WAIT)
            return
        if not self._told_missing:
            self._told_missing = True
            versions = " or ".join(item.version for item in resource.versions)
            text = f"the cluster has no {resource.kind} in {versions}: {resource.remedy}"
            if not resource.required:
                text = f"{text}, or do without"
            elif self._listed:
                text = f"{text} ({resource.qualified_name}); until then it counts as it was last seen"
            self._complain("kind_missing", text)
        if not (resource.required and self._listed):
            self._nothing()
        await asyncio.sleep(MISSING_WAIT)

    def _nothing(self) -> None:
        """Nothing need wait for this kind: there is none of it."""
        self._tell(Init(self._resource.kind))
        self._tell(InitDone(self._resource.kind))
        self.alive.set()

    def _found(self) -> None:
        """The kind is there; say once that the CRDs are old, where it is only there in an older version."""
        self._absences, self._told_missing, self._refused = 0, False, None
        resource, wanted = self._resource, self._wanted
        outdated = resource.version != wanted.version and resource.version.startswith(GATEWAY_GROUP)
        if outdated and not self._told_older:
            self._told_older = True
            text = f"the cluster has {resource.kind} in {resource.version}, but not in {wanted.version}"
            self._complain("kind_older", f"{text}: it is read all the same, but update the CRDs")
        self._rest = []

    async def _list(self) -> None:
        resource = self._resource
        query = {"limit": str(PAGE)}
        query.update(_selectors(resource))
        self._tell(Init(resource.kind))
        while True:
            answer = await self._client.get(resource.collection, query)
            page = decoded(answer, _List, f"the list of {resource.kind}")
            self._moved = time.monotonic()
            for item in page.items or ():
                self._documents.apply(item, self._resource)
            if not page.metadata.token:
                break
            query["continue"] = page.metadata.token
        self._tell(InitDone(resource.kind))
        self._listed = True
        self._version = page.metadata.resource_version

    async def _follow(self) -> None:
        resource = self._resource
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(SERVER_LIMIT),
            "resourceVersion": self._version,
        }
        query.update(_selectors(resource))
        async with self._client.stream(resource.collection, query, read_limit=SILENCE) as stream:
            opened = time.monotonic()
            try:
                await self._read(stream)
            finally:
                if time.monotonic() - opened >= SHORT:
                    self._useful()

    async def _read(self, stream: aiohttp.StreamReader) -> None:
        kind = self._resource.kind
        buffer = b""
        while True:
            try:
                chunk = await stream.readany()
            except Exception as error:  # whatever a broken connection is called
                raise ApiError(0, f"the watch of {kind} broke: {error!r}") from None
            if not chunk:
                return
            self._moved = time.monotonic()
            buffer += chunk
            *lines, buffer = buffer.split(b"\n")
            for line in lines:
                if line.strip():
                    self._take(line)
            if len(buffer) > MAX_LINE:
                raise ApiError(0, f"an event of {kind} is larger than {MAX_LINE:,} bytes")

    def _take(self, line: bytes) -> None:
        try:
            event = _EVENTS.decode(line)
        except caught.UNREADABLE as error:
            raise ApiError(0, f"the watch of {self._resource.kind} sent no event: {error}") from None
        if event.type == "ERROR":
            code = event.object.get("code")
            if code == 410:
                raise Gone
            raise ApiError(code if isinstance(code, int) and code else 500, str(event.object.get("message", "")))
        version = metadata_of(event.object).get("resourceVersion")
        if isinstance(version, str) and version:
            self._version = version
        if event.type in {"ADDED", "MODIFIED"}:
            self._documents.apply(event.object, self._resource)
        elif event.type == "DELETED":
            key = self._documents.key(event.object, self._resource)
            if key is not None:
                self._tell(Delete(key))
        else:
            return
        self._useful()


def _selectors(resource: Resource) -> dict[str, str]:
    found = {"fieldSelector": resource.selector, "labelSelector": resource.labels}
    return {name: value for name, value in found.items() if value}
