"""An authorisation service of Envoy's `ext_authz`, by grpcio and the parts of Envoy's messages that are used here."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent import futures
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_TEXT, _BYTES, _INT64, _INT32, _ENUM, _MESSAGE = 9, 12, 3, 5, 14, 11

#: Message: field, number, type; of a message its name, of a list with `*` in front; a map of texts is `map`.
_MESSAGES: dict[str, list[tuple[str, int, int | str]]] = {
    "SocketAddress": [("address", 2, _TEXT)],
    "Address": [("socket_address", 1, "SocketAddress")],
    "Peer": [("address", 1, "Address")],
    "HttpRequest": [
        ("method", 2, _TEXT),
        ("headers", 3, "map"),
        ("path", 4, _TEXT),
        ("host", 5, _TEXT),
        ("scheme", 6, _TEXT),
        ("size", 9, _INT64),
        ("body", 11, _TEXT),
        ("raw_body", 12, _BYTES),
    ],
    "Request": [("http", 2, "HttpRequest")],
    "AttributeContext": [("source", 1, "Peer"), ("request", 4, "Request")],
    "CheckRequest": [("attributes", 1, "AttributeContext")],
    "Status": [("code", 1, _INT32), ("message", 2, _TEXT)],
    "HeaderValue": [("key", 1, _TEXT), ("value", 2, _TEXT), ("raw_value", 3, _BYTES)],
    "HeaderValueOption": [("header", 1, "HeaderValue")],
    "HttpStatus": [("code", 1, _INT32)],
    "DeniedHttpResponse": [("status", 1, "HttpStatus"), ("headers", 2, "*HeaderValueOption"), ("body", 3, _TEXT)],
    "QueryParameter": [("key", 1, _TEXT), ("value", 2, _TEXT)],
    "OkHttpResponse": [
        ("headers", 2, "*HeaderValueOption"),
        ("headers_to_remove", 5, f"*{_TEXT}"),
        ("response_headers_to_add", 6, "*HeaderValueOption"),
        ("query_parameters_to_set", 7, "*QueryParameter"),
        ("query_parameters_to_remove", 8, f"*{_TEXT}"),
    ],
    "CheckResponse": [
        ("status", 1, "Status"),
        ("denied_response", 2, "DeniedHttpResponse"),
        ("ok_response", 3, "OkHttpResponse"),
        ("error_response", 5, "DeniedHttpResponse"),
    ],
}


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="ext_authz.proto", package="t", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            repeated = isinstance(kind, str) and (kind == "map" or kind.startswith("*"))
            made = message.field.add(name=field, number=number, label=3 if repeated else 1)
            if kind == "map":
                entry = message.nested_type.add(name="HeadersEntry")
                entry.options.map_entry = True
                entry.field.add(name="key", number=1, label=1, type=_TEXT)
                entry.field.add(name="value", number=2, label=1, type=_TEXT)
                made.type, made.type_name = _MESSAGE, f".t.{name}.HeadersEntry"
                continue
            plain = kind.removeprefix("*") if isinstance(kind, str) else str(kind)
            if plain.isdigit():
                made.type = int(plain)
            else:
                made.type, made.type_name = _MESSAGE, f".t.{plain}"
    return file


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_file())


def _class(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"t.{name}"))


CheckRequest, CheckResponse = _class("CheckRequest"), _class("CheckResponse")

#: What it answers to the request that it is asked about: the message, or bytes that are none.
Check = Callable[[Any], Any]


def headers(**fields: str) -> list[dict[str, Any]]:
    """`HeaderValueOption`s; `_` stands for `-`."""
    return [{"header": {"key": name.replace("_", "-"), "value": value}} for name, value in fields.items()]


class AuthorizationServer(grpc.GenericRpcHandler):
    """Remembers what it was asked, and answers as a test says; `pair`: a key and its certificate, for TLS."""

    def __init__(self, check: Check, pair: tuple[bytes, bytes] | None = None) -> None:
        self.check = check
        self.asked: list[Any] = []
        #: Of each call, what came along with it.
        self.metadata: list[dict[str, str]] = []
        self._lock = threading.Lock()
        self._server = grpc.server(futures.ThreadPoolExecutor(8), handlers=(self,))
        if pair is None:
            port = self._server.add_insecure_port("127.0.0.1:0")
        else:
            port = self._server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
        self.address = ("127.0.0.1", port)
        self._server.start()

    def close(self) -> None:
        self._server.stop(None).wait()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if details.method != "/envoy.service.auth.v3.Authorization/Check":
            return None

        def behaviour(request: bytes, context: grpc.ServicerContext) -> bytes:
            asked = CheckRequest.FromString(request).attributes
            with self._lock:
                self.asked.append(asked)
                self.metadata.append(dict(context.invocation_metadata()))
            answer = self.check(asked.request.http)
            return answer if isinstance(answer, bytes) else bytes(answer.SerializeToString())

        return grpc.unary_unary_rpc_method_handler(behaviour)
