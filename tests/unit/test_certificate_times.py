"""Certificates and the clock: what is said of them, when it is said, and which one is served."""

from __future__ import annotations

from pathlib import Path

import pytest
from system_manifests import dump, gateway, https, secret

from sluicegate.controller.sources.files import Reader
from sluicegate.controller.sources.files.source import Source
from sluicegate.controller.store.store import Store
from sluicegate.controller.translate import CertificateFacts, Checks, Options, Translation, Translator

DAY = 86_400
BEGIN, END = 100 * DAY, 200 * DAY


def times(chain: bytes, _key: bytes) -> CertificateFacts:
    """A certificate says its times in so many words, such as `100 200 pem`; days."""
    begin, end, _ = chain.decode().split(" ", 2)
    return CertificateFacts(not_before=int(begin) * DAY, not_after=int(end) * DAY)


class World:
    """Manifests, and a translator that remembers."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "all.yaml"
        self.path.touch()
        self.store = Store()
        self.source = Source(Reader([str(self.path)]), self.store)
        self.translator = Translator(options=Options(checks=Checks(certificate=times)))

    def translate(self, certificate: str, now: float) -> Translation:
        text = dump(gateway(https(secret="pair")), secret("pair", certificate.encode(), b"key"))
        if text != self.path.read_text():
            self.path.write_text(text)
            self.source.refresh()
        return self.translator.translate(self.store.snapshot(), now)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def said(found: Translation) -> list[tuple[str, str]]:
    return [(item.code, item.message) for item in found.diagnostics if item.code.startswith("certificate")]


def condition(found: Translation) -> tuple[str, str, str]:
    [status] = [status for key, status in found.statuses.items() if key.kind == "Gateway"]
    [listener] = status.listeners  # type: ignore[union-attr]
    [resolved] = [item for item in listener.conditions if item.type == "ResolvedRefs"]
    return resolved.status, resolved.reason, resolved.message


def served(found: Translation) -> str:
    [certificate] = found.ir.certificates.values()
    return certificate.chain


@pytest.mark.parametrize(
    ("now", "code", "words", "due"),
    [
        (BEGIN - 1, "certificate-not-yet-valid", "is not valid before 1970-04-11 00:00:00 UTC", BEGIN),
        (BEGIN, "", "", END + 1 - 14 * DAY),
        (END - 14 * DAY + 1, "certificate-expires", "expires at 1970-07-20 00:00:00 UTC", END + 1),
        (END + 0.9, "certificate-expires", "expires at 1970-07-20 00:00:00 UTC", END + 1),
        (END + 1, "certificate-expired", "expired at 1970-07-20 00:00:00 UTC", None),
    ],
)
def test_what_is_said_at_which_time(world: World, now: float, code: str, words: str, due: float | None) -> None:
    found = world.translate("100 200 pem", now)
    assert found.due == due
    assert served(found) == "100 200 pem"
    if not code:
        assert said(found) == []
        assert condition(found)[:2] == ("True", "ResolvedRefs")
        return
    [(told, message)] = said(found)
    assert (told, message.startswith(f"Secret default/pair: the certificate {words}")) == (code, True), message
    if code != "certificate-expires":
        assert message.endswith("; it is served all the same")
        assert condition(found) == ("True", "ResolvedRefs", message)


def test_time_alone_changes_what_is_said(world: World) -> None:
    """The same snapshot: judged again when it is due, and not before."""
    first = world.translate("100 200 pem", BEGIN - 10)
    assert world.translate("100 200 pem", BEGIN - 1) is first
    seen = [code for code, _ in said(first)]
    found = first
    while found.due is not None:
        found = world.translate("100 200 pem", found.due)
        seen += [code for code, _ in said(found)] or ["good"]
    assert seen == ["certificate-not-yet-valid", "good", "certificate-expires", "certificate-expired"]
    assert found.ir.listeners == first.ir.listeners


@pytest.mark.parametrize("worse", ["10 50 expired", "180 300 too early"])
def test_a_worse_certificate_does_not_replace_a_valid_one(world: World, worse: str) -> None:
    assert served(world.translate("100 200 pem", BEGIN)) == "100 200 pem"
    found = world.translate(worse, BEGIN + 1)
    assert served(found) == "100 200 pem"
    assert condition(found)[2].endswith("; the last good certificate serves on")
    if worse.startswith("180"):
        assert found.due == 180 * DAY
        assert served(world.translate(worse, 180 * DAY)) == worse
