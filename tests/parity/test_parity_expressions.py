"""Expressions of policies: the engine's own CEL comes to what the library comes to, for expressions made at random."""

from __future__ import annotations

from collections import Counter

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from parity_seeded import run_examples

from sluicegate import _native, ir, reference
from sluicegate.reference import Request
from sluicegate.reference.contract import Identity

EXPRESSIONS = 1500

_texts = st.sampled_from(
    (
        "'a'",
        "''",
        "'b'",
        "request.method",
        "request.path",
        "request.query",
        "identity.user",
        "client.address",
        "identity.claims.sub",
        "identity.claims['none']",
        "request.headers['x'][0]",
        "request.headers['x'][1]",
        "('a' + request.method)",
    )
)
_numbers = st.sampled_from(
    (
        "0",
        "1",
        "-1",
        "2",
        "1.0",
        "2.5",
        "identity.claims.age",
        "identity.claims.big",
        "size(request.headers['x'])",
        "int('7')",
    )
)
_lists = st.sampled_from(
    (
        "['a', 'b']",
        "[]",
        "request.headers['x']",
        "request.headers['none']",
        "identity.scopes",
        "identity.claims.groups",
        "[1, 2]",
    )
)


def _conditions(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    joined = st.tuples(inner, st.sampled_from((" && ", " || ")), inner).map(lambda it: f"({''.join(it)})")
    chosen = st.tuples(inner, inner, inner).map(lambda it: f"({it[0]} ? {it[1]} : {it[2]})")
    each = st.tuples(_lists, st.sampled_from(("all", "exists", "exists_one")), inner).map(
        lambda it: f"{it[0]}.{it[1]}(it, it == 'a' || {it[2]})"
    )
    return st.one_of(joined, chosen, each, inner.map(lambda it: f"!{it}"))


_leaves = st.one_of(
    st.sampled_from(
        ("true", "false", "has(identity.claims.sub)", "has(request.headers.none)", "'x' in request.headers")
    ),
    st.tuples(_texts, st.sampled_from(("==", "!=", "<", ">=")), _texts).map(lambda it: f"({' '.join(it)})"),
    st.tuples(_numbers, st.sampled_from(("==", "!=", "<", "<=", ">", ">=")), _numbers).map(
        lambda it: f"({' '.join(it)})"
    ),
    st.tuples(_numbers, st.sampled_from(("+", "-", "*", "/", "%")), _numbers).map(lambda it: f"({' '.join(it)} > 0)"),
    st.tuples(_texts, st.sampled_from(("startsWith", "endsWith", "contains")), _texts).map(
        lambda it: f"{it[0]}.{it[1]}({it[2]})"
    ),
    st.tuples(_texts, st.sampled_from(("'^a'", "'[A-Z]+$'", "'.'"))).map(lambda it: f"{it[0]}.matches({it[1]})"),
    st.tuples(_texts, _lists).map(lambda it: f"({it[0]} in {it[1]})"),
    st.tuples(_lists, _lists).map(lambda it: f"({it[0]} == {it[1]})"),
    st.tuples(_lists, _numbers).map(lambda it: f"(size({it[0]}.filter(it, it == 'a')) < {it[1]})"),
    st.tuples(_lists, _texts).map(lambda it: f"({it[1]} in {it[0]}.map(it, it))"),
)
CONDITIONS = st.recursive(_leaves, _conditions, max_leaves=6)

ASKED = Request(
    bind_port=80,
    method="GET",
    authority="a.test",
    target="/a?b=1",
    headers=(("X", "a"), ("x", "b")),
    from_="192.0.2.1",
    identity=Identity(
        proof="jwt",
        user="ann",
        claims={"sub": "a", "age": 41, "big": 9223372036854775807, "groups": ["a", "c"]},
        scopes=("a",),
    ),
)


def _table(text: str) -> bytes:
    """Two listeners: one allows where the condition holds, one denies."""
    rules = {
        "allow": ir.AccessAuthorization(id="AccessPolicy/n/allow/authorization", rules=(ir.AccessRule(when=text),)),
        "deny": ir.AccessAuthorization(
            id="AccessPolicy/n/deny/authorization", rules=(ir.AccessRule(deny=True, when=text),), default_allow=True
        ),
    }
    listeners = tuple(
        ir.Listener(
            id=f"Gateway/n/g/{name}",
            gateway="n/g",
            port=80 + place,
            bind_port=80 + place,
            protocol=ir.ListenerProtocol.HTTP,
            policies=(policy.id,),
        )
        for place, (name, policy) in enumerate(rules.items())
    )
    rule = ir.HttpRule(
        id="HTTPRoute/n/r/0",
        route="HTTPRoute/n/r",
        index=0,
        listeners=tuple(listener.id for listener in listeners),
        matches=(ir.Match(path=ir.PathPrefix(value="/")),),
    )
    upsert = ir.Resources(listeners=listeners, http_rules=(rule,), policies=tuple(rules.values()))
    return ir.encode(ir.Transaction(version=ir.VERSION, generation=1, full=True, upsert=upsert))


def test_expressions_come_to_the_same() -> None:
    seen: Counter[str] = Counter()

    @given(text=CONDITIONS)
    def check(text: str) -> None:
        if _native.check_expression(text, "condition") is not None:
            seen["refused"] += 1
            return
        data = _table(text)
        native, pure = _native.RouteTable(data), reference.compile(data)
        words = []
        for port in (80, 81):
            question = msgspec.json.encode(msgspec.structs.replace(ASKED, bind_port=port))
            decision = msgspec.json.decode(native.decide(question))
            assert decision == msgspec.json.decode(reference.decide_json(pure, question)), text
            words.append(decision["reason"] != "forbidden")
        # It holds, does not hold, or fails, which neither allows nor lets pass.
        seen[{(True, False): "holds", (False, True): "not", (False, False): "fails"}[words[0], words[1]]] += 1

    run_examples(check, EXPRESSIONS)
    assert min(seen[word] for word in ("holds", "not", "fails")) > EXPRESSIONS // 20
    assert seen["refused"] < EXPRESSIONS // 2
