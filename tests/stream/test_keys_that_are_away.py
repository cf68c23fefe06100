"""A data plane says which identity providers do not give it their keys, and when they do again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from stream_processes import Controller, GatewayProcess, serving_state
from system_backends import Backend, Received, response

from sluicegate import ir
from sluicegate.controller.stream.protocol import KeysOutcome

SOURCE = "default/login:80/keys"
KEYS = b'{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}'


class Login:
    """A provider that is away and comes back."""

    def __init__(self) -> None:
        self.is_there = False
        self.backend = Backend(self._answer)

    def _answer(self, _request: Received) -> bytes:
        return response(KEYS) if self.is_there else response(b"", "500 Oops")


@pytest.fixture
def login() -> Iterator[Login]:
    found = Login()
    yield found
    found.backend.close()


@pytest.fixture
def controller() -> Iterator[Controller]:
    found = Controller()
    yield found
    found.close()


def test_it_is_reported(controller: Controller, login: Login, tmp_path: Path) -> None:
    gateway = GatewayProcess(tmp_path, controller)
    try:
        state = serving_state(gateway.address, login.backend.address, ["login"])
        jwt = ir.AccessJwt(
            id="AccessPolicy/default/staff/jwt",
            providers=(
                ir.JwtProvider(
                    name="login",
                    issuer="https://login.test",
                    audiences=("*",),
                    remote=ir.RemoteKeys(
                        backend="default/login:80", path="/keys", service="login.default.svc", refresh_ms=1_000
                    ),
                ),
            ),
            from_=(ir.HeaderCredential(name="authorization", prefix="Bearer "),),
        )
        rules = {name: msgspec.structs.replace(rule, policies=(jwt.id,)) for name, rule in state.http_rules.items()}
        controller.want(replace(state, http_rules=rules, policies={jwt.id: jwt}))

        def until_away(*expected: KeysOutcome) -> None:
            controller.until(lambda: [pod.report.away for pod in controller.pods()] == [expected])

        until_away(KeysOutcome(SOURCE, False))
        login.is_there = True
        until_away()
        login.is_there = False
        until_away(KeysOutcome(SOURCE, True))
    finally:
        assert gateway.stop() == 0, gateway.errors
