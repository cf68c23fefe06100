"""An API server for tests: lists in pages, watches, status patches, server-side apply, leases; and faults on demand.

Runs on the test's own event loop. It knows nothing of schemas; the real one is in `tests/cluster`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from typing import Any

from aiohttp import web

from sluicegate.controller.api.ingress import SERVED_INGRESS_KINDS
from sluicegate.controller.api.kinds import TABLE

Document = dict[str, Any]


class ApiServer:
    """Objects by collection path, and what was asked of it."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[tuple[str, str], Document]] = defaultdict(dict)
        self.version = 100
        self.page = 500
        self.missing: set[str] = set()
        self.forbidden: set[str] = set()
        self.refuse_lists = 0
        self.lists: list[str] = []
        self.patches: list[tuple[str, Document]] = []
        #: Status patches, and replacements of Leases, that meet a conflict.
        self.conflicts = 0
        self.put_conflicts = 0
        self.lease_reads = 0
        #: What was applied, deleted and created, in order: `PATCH Deployment a/b`.
        self.writes: list[str] = []
        #: Collections that discovery does not know; it knows all others, in every group.
        self.undiscovered: set[str] = set()
        #: Answers to writes of objects whose path ends so: status and message.
        self.refusals: dict[str, tuple[int, str]] = {}
        #: The same of writes that are no trials (`dryRun`).
        self.real_refusals: dict[str, tuple[int, str]] = {}
        #: Requests for an object whose path ends so find the connection closed.
        self.breaks_before: str | None = None
        #: Writes of objects whose path ends so wait for `released`, whoever asked for them is still there or not; how
        #: many did, and how many were let through.
        self.hold: str | None = None
        self.released = asyncio.Event()
        self.held = self.let_through = 0
        #: Namespace, ServiceAccount and pod of tokens.
        self.tokens: dict[str, tuple[str, str, str]] = {}
        #: Bearer tokens that it takes; None: any, and none at all. Others get 401, which is counted.
        self.accepted: set[str] | None = None
        self.unauthorized = 0
        self.requests = 0
        #: Paths that were asked for, in order.
        self.asked: list[str] = []
        self.watches = 0
        #: When watches were opened, by the monotonic clock.
        self.opened: list[float] = []
        #: What every answer is, with status 200: a page of something before the API server. None: it answers itself.
        self.page_before: bytes | None = None
        #: What every watch is told at once before it ends; None: watches go on.
        self.last_words: bytes | None = None
        self._history: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
        self._watchers: dict[str, list[asyncio.Queue[bytes | None]]] = defaultdict(list)
        self._changed = asyncio.Condition()
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def start(self) -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        self.end_watches()
        if self._runner is not None:
            await self._runner.cleanup()

    async def wait(self, holds: Any, limit: float = 10.0) -> None:
        """Wait until something holds; it is looked at after every request."""
        async with self._changed:
            await asyncio.wait_for(self._changed.wait_for(holds), limit)

    def put(self, collection: str, document: Document) -> Document:
        """Create or replace an object, and tell the watchers."""
        metadata = document["metadata"]
        key = (metadata.get("namespace", ""), metadata["name"])
        before = self.objects[collection].get(key)
        self.version += 1
        metadata["resourceVersion"] = str(self.version)
        self.objects[collection][key] = document
        self.tell(collection, {"type": "MODIFIED" if before else "ADDED", "object": document})
        return document

    def delete(self, collection: str, namespace: str, name: str) -> None:
        document = self.objects[collection].pop((namespace, name))
        self.version += 1
        document["metadata"]["resourceVersion"] = str(self.version)
        self.tell(collection, {"type": "DELETED", "object": document})

    def tell(self, collection: str, event: Document) -> None:
        version = event["object"].get("metadata", {}).get("resourceVersion")
        if version is not None:
            self._history[collection].append((int(version), json.dumps(event).encode() + b"\n"))
        self.tell_raw(collection, json.dumps(event).encode() + b"\n")

    def tell_raw(self, collection: str, data: bytes) -> None:
        for queue in self._watchers[collection]:
            queue.put_nowait(data)

    def end_watches(self) -> None:
        for queues in self._watchers.values():
            for queue in queues:
                queue.put_nowait(None)

    def watchers(self, collection: str) -> int:
        return len(self._watchers[collection])

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._answer(request)
        finally:
            async with self._changed:
                self._changed.notify_all()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        self.requests += 1
        self.asked.append(path)
        if self.page_before is not None:
            return web.Response(body=self.page_before)
        if self.accepted is not None and not _bearer(request) & self.accepted:
            self.unauthorized += 1
            return _status(401, "Unauthorized")
        if request.method != "GET" and self.hold is not None and path.endswith(self.hold):
            self.held += 1
            async with self._changed:
                self._changed.notify_all()
            await self.released.wait()
            self.let_through += 1
        if self.breaks_before is not None and path.endswith(self.breaks_before) and request.transport is not None:
            request.transport.close()
        if request.method != "GET":
            real = {} if "dryRun" in request.query else self.real_refusals
            for end, (code, message) in {**self.refusals, **real}.items():
                if path.endswith(end):
                    return _status(code, message)
        if request.method == "PATCH" and request.content_type == "application/apply-patch+yaml":
            return self._apply(path, await request.json(), trial=request.query.get("dryRun") == "All")
        if request.method == "PATCH":
            return self._patch(path, await request.json())
        if request.method == "DELETE":
            return self._remove(path, await request.json())
        if path.endswith("/tokenreviews"):
            return self._review(await request.json())
        if request.method in {"POST", "PUT"}:
            return self._write(request.method, path, await request.json())
        if _is_discovery(path):
            kinds = (*TABLE, *SERVED_INGRESS_KINDS.values())
            known = [item for item in kinds if f"{path}/{item.plural}" not in self.undiscovered]
            return web.json_response({"kind": "APIResourceList", "resources": [{"name": i.plural} for i in known]})
        if path in self.forbidden:
            return _status(403, "it may not be read")
        if path in self.missing:
            return _status(404, "the server could not find the requested resource")
        if "watch" in request.query:
            return await self._watch(request, path)
        collection, _, name = path.rpartition("/")
        if "/namespaces/" in path and collection.rpartition("/")[2] == "leases":
            self.lease_reads += 1
            found = self.objects[collection].get(("", name))
            return web.json_response(found) if found else _status(404, "no such lease")
        if "/namespaces/" in path and len(path.split("/namespaces/")[1].split("/")) == 3:
            collection, key = self._locate(path)
            found = self.objects[collection].get(key)
            return web.json_response(found) if found else _status(404, "not found")
        self.lists.append(path)
        if self.refuse_lists:
            self.refuse_lists -= 1
            return _status(500, "etcd is away")
        label, _, value = request.query.get("labelSelector", "").partition("=")
        items = [
            item
            for item in self.objects[path].values()
            if not label or item["metadata"].get("labels", {}).get(label) == value
        ]
        start = int(request.query.get("continue", "0"))
        page = items[start : start + self.page]
        metadata: Document = {"resourceVersion": str(self.version)}
        if start + self.page < len(items):
            metadata["continue"] = str(start + self.page)
        return web.json_response({"metadata": metadata, "items": page})

    async def _watch(self, request: web.Request, path: str) -> web.StreamResponse:
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        # What happened since the version that the client has seen.
        since = int(request.query["resourceVersion"])
        for version, data in self._history[path]:
            if version > since:
                queue.put_nowait(data)
        self.watches += 1
        self.opened.append(time.monotonic())
        if self.last_words is not None:
            return web.Response(body=self.last_words)
        self._watchers[path].append(queue)
        response = web.StreamResponse()
        await response.prepare(request)
        async with self._changed:
            self._changed.notify_all()
        try:
            while (data := await queue.get()) is not None:
                await response.write(data)
        except ConnectionError:
            pass
        finally:
            self._watchers[path].remove(queue)
        return response

    def _patch(self, path: str, body: Document) -> web.Response:
        assert path.endswith("/status") or "/leases/" in path or "/events/" in path
        target = path.removesuffix("/status")
        collection, key = self._locate(target)
        document = self.objects[collection].get(key)
        if document is None:
            return _status(404, "not found")
        wanted = body.get("metadata", {}).get("resourceVersion")
        if self.conflicts or (wanted and wanted != document["metadata"]["resourceVersion"]):
            self.conflicts = max(self.conflicts - 1, 0)
            return _status(409, "the object has been modified")
        self.patches.append((target, body))
        fields = "status" if path.endswith("/status") else "series" if "/events/" in path else "spec"
        changed = {**document, fields: _merge(document.get(fields) or {}, body[fields])}
        changed["metadata"] = dict(document["metadata"])
        return web.json_response(self.put(collection, changed))

    def _apply(self, path: str, body: Document, *, trial: bool = False) -> web.Response:
        collection, key = self._locate(path)
        before = self.objects[collection].get(key)
        wanted = body["metadata"].pop("resourceVersion", None)
        if before is not None and wanted is not None and wanted != before["metadata"]["resourceVersion"]:
            return _status(409, "the object has been modified")
        if not trial:
            self.writes.append(f"PATCH {body['kind']} {'/'.join(key)}")
        kept = {name: before[name] for name in ("status",) if before and name in before}
        metadata = before["metadata"] if before else {"uid": f"uid-{self.version}", "generation": 0}
        changed = before is None or {**before.get("spec", {})} != body.get("spec", {})
        merged = {**body, **kept, "metadata": {**metadata, **body["metadata"]}}
        merged["metadata"]["generation"] = metadata.get("generation", 0) + changed
        if trial:
            return web.json_response(merged)
        return web.json_response(self.put(collection, merged))

    def _review(self, body: Document) -> web.Response:
        found = self.tokens.get(body["spec"]["token"])
        if found is None:
            return web.json_response({**body, "status": {"authenticated": False}})
        namespace, account, pod = found
        prefix = "authentication.kubernetes.io/pod-"
        user = {
            "username": f"system:serviceaccount:{namespace}:{account}",
            "extra": {f"{prefix}name": [pod], f"{prefix}uid": [f"uid-{pod}"]},
        }
        status = {"authenticated": True, "audiences": body["spec"]["audiences"], "user": user}
        return web.json_response({**body, "status": status})

    def _remove(self, path: str, body: Document) -> web.Response:
        collection, key = self._locate(path)
        before = self.objects[collection].get(key)
        if before is None:
            return _status(404, "not found")
        if body["preconditions"]["uid"] != before["metadata"].get("uid"):
            return _status(409, "another object")
        self.writes.append(f"DELETE {before['kind']} {'/'.join(key)}")
        self.delete(collection, *key)
        return web.json_response({"kind": "Status", "status": "Success"})

    def _write(self, method: str, path: str, body: Document) -> web.Response:
        collection = path if method == "POST" else path.rpartition("/")[0]
        if path.endswith(("/events", "/secrets")) or "/secrets/" in path:
            collection, key = self._locate(f"{collection}/{body['metadata']['name']}")
            body["metadata"]["namespace"] = key[0]
        else:
            key = ("", body["metadata"]["name"])
        before = self.objects[collection].get(key)
        if method == "POST" and before:
            return _status(409, "already exists")
        version = before and before["metadata"]["resourceVersion"]
        if method == "PUT" and before and (self.put_conflicts or body["metadata"].get("resourceVersion") != version):
            self.put_conflicts = max(self.put_conflicts - 1, 0)
            return _status(409, "modified")
        return web.json_response(self.put(collection, body))

    def _locate(self, path: str) -> tuple[str, tuple[str, str]]:
        parts = path.split("/")
        if "leases" in parts:
            return path.rpartition("/")[0], ("", parts[-1])
        if "namespaces" in parts[:-2]:
            at = parts.index("namespaces")
            return "/".join([*parts[:at], parts[at + 2]]), (parts[at + 1], parts[-1])
        return path.rpartition("/")[0], ("", parts[-1])


def _merge(before: Document, patch: Document) -> Document:
    """RFC 7386."""
    result = dict(before)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = _merge(result.get(key) if isinstance(result.get(key), dict) else {}, value)  # type: ignore[arg-type]
        else:
            result[key] = value
    return result


def _is_discovery(path: str) -> bool:
    """Whether a path is that of a group and version: `/api/v1`, `/apis/apps/v1`."""
    return len(path.strip("/").split("/")) == (2 if path.startswith("/api/") else 3)


def _bearer(request: web.Request) -> set[str]:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return {token} if scheme.lower() == "bearer" else set()


def _status(code: int, message: str) -> web.Response:
    return web.json_response({"kind": "Status", "code": code, "message": message}, status=code)
