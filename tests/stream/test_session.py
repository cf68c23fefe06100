"""The session by itself: whatever comes between, a pod ends with what it should have; nonsense ends one session."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_support import PLANE, simple, state

from sluicegate.controller.stream import messages, protocol
from sluicegate.controller.stream.plane import Plane
from sluicegate.controller.stream.projection import Projector
from sluicegate.controller.stream.session import ProtocolError, Session

GATEWAYS = {PLANE: frozenset({"default/gateway"})}
BAD = "HTTPRoute/default/bad/0"


class Pod:
    """What a pod has, by the rules of the protocol; it refuses transactions with a bad rule."""

    def __init__(self) -> None:
        self.has: dict[str, dict[str, str]] = {section: {} for section in protocol.SECTIONS}
        self.waiting: list[Any] = []

    def connect(self, plane: Plane) -> Session:
        session = Session()
        self.waiting = []
        for section in protocol.SECTIONS:
            assert not session.subscribe(protocol.subscription(section, self.has[section].items()))
        assert session.subscribe(protocol.subscription(protocol.GENERATION, ()))
        session.begin(plane)
        return session

    def answer(self) -> list[Any]:
        """Apply what has come, all or nothing; returns the answers."""
        responses, self.waiting = self.waiting, []
        answers: list[Any] = []
        came: list[tuple[str, str, str | None]] = []
        for response in responses:
            section = protocol.section_of(response.type_url)
            assert section is not None
            if section != protocol.GENERATION:
                came += [(section, entry.name, entry.version) for entry in response.resources]
                came += [(section, name, None) for name in response.removed_resources]
                answers.append(protocol.acknowledgement(section, response.nonce))
                continue
            if any(name == BAD and version is not None for _, name, version in came):
                reason = protocol.Refusal("http_rules", BAD, "is bad")
                answers.append(protocol.refusal(response.nonce, [reason]))
                continue
            for name_section, name, version in came:
                if version is None:
                    del self.has[name_section][name]  # what is removed has to be there
                else:
                    self.has[name_section][name] = version
            answers.append(protocol.acknowledgement(protocol.GENERATION, response.nonce))
        return answers


@pytest.mark.parametrize("seed", range(40))
def test_a_pod_ends_with_what_it_should_have(seed: int) -> None:
    chance = random.Random(seed)
    names = ["a", "b", "c", "d", "bad"]
    projector, pod = Projector(), Pod()
    projector.update(state(), GATEWAYS)
    session = pod.connect(projector.planes[PLANE])
    for step in range(120):
        kind = chance.random()
        if kind < 0.4:
            chosen = chance.sample(names, chance.randint(0, len(names)))
            if "bad" in chosen and chance.random() < 0.7:
                chosen.remove("bad")
            changed = projector.update(state(*(simple(*chosen) if chosen else ())), GATEWAYS)
            session.touch(changed.get(PLANE, {}))
        elif kind < 0.7:
            responses = session.next(projector.planes[PLANE], step)
            if responses is not None:
                assert not pod.waiting  # one transaction at a time
                pod.waiting = responses
        elif kind < 0.93:
            for answer in pod.answer():
                session.take(answer)
        else:
            # The connection breaks, perhaps after the pod applied what it never could acknowledge.
            if chance.random() < 0.5:
                pod.answer()
            session = pod.connect(projector.planes[PLANE])
    session.touch(projector.update(state(*simple("a", "b")), GATEWAYS).get(PLANE, {}))
    for _ in range(3):
        for answer in pod.answer():
            session.take(answer)
        pod.waiting = session.next(projector.planes[PLANE], 0) or []
    plane = projector.planes[PLANE]
    assert pod.has == {
        section: {name: item.version for name, item in table.items()} for section, table in plane.tables.items()
    }
    assert session.has == pod.has
    assert session.refusals == ()


requests = st.builds(
    lambda url, names, nonce, code, message, details: messages.Request(
        type_url=url,
        resource_names_subscribe=names,
        response_nonce=nonce,
        error_detail=messages.Status(code, message, [messages.AnyMessage(url, details)]) if code else None,
    ),
    st.sampled_from(
        [protocol.type_url(item) for item in (*protocol.SECTIONS, protocol.GENERATION, protocol.REPORT, "unknown")]
        + ["", "type.googleapis.com/envoy.config.cluster.v3.Cluster", "type.sluicegate.dev/v0/listeners"]
    ),
    st.lists(st.text(max_size=5), max_size=3),
    st.sampled_from(["", "1", "2", "3", "99"]),
    st.integers(-1, 3),
    st.text(max_size=20),
    st.one_of(
        st.binary(max_size=30),
        st.sampled_from(
            [
                b"[]",
                b"{}",
                b"null",
                b'{"listeners":[{"id":"a","version":"1"}]}',
                b'[{"kind":"a","id":"b","reason":"c"}]',
            ]
        ),
    ),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(requests, max_size=12))
def test_nonsense_ends_the_session_and_nothing_else(sent: list[Any]) -> None:
    projector = Projector()
    projector.update(state(*simple("a")), GATEWAYS)
    plane = projector.planes[PLANE]
    session = Session()
    subscribed = False
    with contextlib.suppress(ProtocolError):
        for request in sent:
            if not subscribed:
                subscribed = session.subscribe(request)
                if subscribed:
                    session.begin(plane)
            else:
                session.take(request)
            if subscribed:
                session.next(plane, 1)
    assert set(session.sections) <= set(protocol.SECTIONS)
    assert len(session.refusals) <= protocol.MAX_REFUSALS
