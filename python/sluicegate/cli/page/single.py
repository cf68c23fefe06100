"""The sections of the page about one thing: a route, and what happens to a request."""

from __future__ import annotations

from collections.abc import Iterator

from sluicegate.controller.api import readable
from sluicegate.testing.request import Connection, Request, RequestError

from ..because import verdict_in_words
from ..explanation import Explanation
from ..timeouts_and_retries import retry_in_words, timeouts_in_words
from ..tracing import tracing_in_words
from ..used_backends import part_in_words, session_in_words
from .asked import request_of
from .facts import RouteDetail, RuleFacts
from .html import Child, Markup, tag
from .links import Rows, backend_link, link, listener_link, policy_link, route_link
from .moment import Moment
from .sections import FIGURES, Look, figure_cells, shadowed_in_words, status_of, why_idle
from .shell import conditions, place, plain, told, verdict


def route(look: Look) -> Child:
    """All that is known of a route.

    Raises:
        LookupError: there is none of that name.
    """
    name = look.given.get("name", "")
    found = look.moment.route(name)
    if found is None:
        raise LookupError(f"There is no route {name or 'without a name'} here.")
    bad = [item for item in found.conditions if not item.good]
    return [
        tag(
            "p",
            status_of(found.route),
            " ",
            [shadowed_in_words(found.route.shadowed), " "] if found.route.good and found.route.shadowed else None,
            place(found.route.path, found.route.line),
        ),
        [tag("h2", "Why not" if bad else "What is told of it"), conditions(bad), told(found.problems)]
        if bad or found.problems
        else None,
        _figures(look, found),
        tag("h2", "What is served"),
        [_rule(found, item) for item in found.served] or tag("p", "Nothing of it is served.", class_="bad"),
        tag("h2", "Who is asked before it, and after it"),
        plain(
            [link("/matches", one, hostname=one, mine=found.route.object) for one in found.route.hostnames]
            or [link("/matches", "every hostname", mine=found.route.object)]
        ),
        [tag("h2", "All conditions"), conditions(found.conditions)],
    ]


def _figures(look: Look, found: RouteDetail) -> Child:
    figures = look.figures_of([found.route.object])
    if figures is None:
        return None
    heads = [tag("th", item.title, scope="col", class_="number") for item in FIGURES]
    name = found.route.object
    cells = tag("tr", figure_cells(figures, name), data_route=name)
    return tag("table", tag("thead", tag("tr", heads)), tag("tbody", cells))


def _rule(found: RouteDetail, item: RuleFacts) -> Markup:
    total = sum(share.weight for share in item.backends)
    to: Child = item.answer
    if item.invalid:
        to = tag("span", "cannot be honoured: requests are answered 500", class_="bad")
    elif not item.answer:
        to = plain(
            [
                backend_link(share.backend)
                if share.backend is not None
                else tag("span", "cannot be used: answered 500, or closed", class_="bad"),
                f" (weight {share.weight} of {total})" if len(item.backends) > 1 else None,
            ]
            for share in item.backends
        )
    matches = [
        [tag("s", tag("code", one.text)), tag("div", one.shadowed, class_="warn")]
        if one.shadowed
        else tag("code", one.text)
        for one in item.matches
    ]
    said = [
        [
            tag("b", one.stanza or "filter"),
            " of ",
            policy_link(one.policy),
            f", from {one.origin}" if one.origin else None,
            tag("b", " cannot be honoured: refuses everything", class_="bad") if one.invalid else None,
            tag("span", f" at {one.listener}", class_="soft"),
        ]
        for one in item.policies
    ]
    facts = [("Matches", plain(matches, 32) if matches else "every connection"), ("Sends to", to)]
    facts += [
        ("Listeners", plain(map(listener_link, item.listeners))),
        ("Policies", plain(said, 32) if said else "none hold"),
    ]
    return tag(
        "section",
        tag("h3", f"rules[{item.index}]"),
        tag("dl", [(tag("dt", name), tag("dd", text)) for name, text in facts]),
    )


def explain(look: Look) -> Child:
    """Who takes a request, and why others do not."""
    given = look.given
    asked = given.get("request", "")
    answer: Child = tag("p", "Nothing is sent: this says what would happen.", class_="soft")
    if asked.strip():
        try:
            answer = list(_explained(look.moment, look.moment.explain(request_of(look.fields))))
        except RequestError as error:
            answer = tag("p", str(error), class_="bad", role="alert")
    headers = "\n".join(value for name, value in look.fields if name == "header")
    form = tag(
        "form",
        tag(
            "label",
            "A URL, a method and a URL, or a curl line",
            tag(
                "textarea",
                asked,
                name="request",
                rows=3,
                required=True,
                placeholder="GET https://www.example.com/login",
            ),
        ),
        tag(
            "label",
            "Header fields, one a line",
            tag("textarea", headers, name="header", rows=2, placeholder="x-user: anna"),
        ),
        tag(
            "label",
            "Comes from",
            tag("input", name="from", value=given.get("from", ""), placeholder="203.0.113.7", size=16),
        ),
        tag("label", "Who asks", tag("input", name="as", value=given.get("as", ""), placeholder="basic:anna", size=16)),
        tag("button", "Explain"),
        action="/explain",
    )
    return [form, tag("div", answer, id="found", aria_live="polite")]


def _explained(moment: Moment, found: Explanation) -> Iterator[Child]:
    decision = found.decision
    yield tag("h2", _title(found.request))
    goes = {"forward": "is forwarded", "close": "is closed"}.get(decision.outcome, f"is answered {decision.status}")
    if decision.listener is None and not found.at_port:
        goes = "reaches nobody: nothing listens at this port"
    good = decision.reason in {"forwarded", "redirect", "respond", "cors_preflight"}
    reason = tag("span", decision.reason, class_="soft code") if decision.reason != "forwarded" else None
    yield tag("p", verdict(good=good, well=goes, badly=goes), " ", reason)
    unbound = _unbound(moment, decision.listener)
    if unbound:
        yield tag("p", "But the listener does not run as configured: ", unbound, class_="warn")
    facts = [*_taken_by(found), *_backend_facts(found), *_sent(found)]
    yield tag("dl", [(tag("dt", name), tag("dd", text)) for name, text in facts])
    yield from _others(found, moment.rows)


def _taken_by(found: Explanation) -> list[tuple[str, Child]]:
    """Listener and route, and what these say."""
    decision = found.decision
    facts: list[tuple[str, Child]] = []
    if decision.listener is not None:
        facts.append(("Listener", listener_link(decision.listener)))
    if decision.route is not None:
        match = "" if decision.match is None else f".matches[{decision.match}]"
        rule = "" if decision.rule is None else f" rules[{decision.rule}]{match}"
        facts += [("Route", [route_link(decision.route), rule]), ("Found by hostname", found.hostname or "–")]
        facts.append(("Match", tag("code", found.winner) if found.winner else "–"))
    if found.ingress is not None:
        facts.append(("Ingress", found.ingress))
    facts += [("Filter", tag("code", item)) for item in found.filters]
    if found.timeouts is not None:
        facts.append(("Timeouts", timeouts_in_words(found.timeouts)))
    if found.retry is not None and isinstance(found.request, Request):
        facts.append(("Retry", retry_in_words(found.retry, found.request.method)))
    if found.tracing is not None:
        facts.append(("Traced", tracing_in_words(found.tracing)))
    for said, because, origin in zip(decision.policies, found.because, found.origins, strict=True):
        word = tag("b", verdict_in_words(said), class_="bad" if said.verdict == "deny" else None)
        about = [f"{said.stanza} of {readable(said.policy)}: ", word, f": {because}" if because else None]
        facts.append(("Policy", [*about, tag("span", f" [{origin}]", class_="soft") if origin else None]))
    return facts


def _backend_facts(found: Explanation) -> list[tuple[str, Child]]:
    """Where it goes."""
    decision = found.decision
    facts: list[tuple[str, Child]] = []
    if decision.backend is not None:
        total = sum(item.weight for item in decision.backends)
        facts += [
            ("Backend", _backend(item.backend, f" (weight {item.weight} of {total})")) for item in decision.backends
        ]
        if found.session is not None:
            where = f" [{found.session.policy}]" if found.session.policy is not None else None
            facts.append(("Session", [session_in_words(found.session), where]))
        facts += [("Policy", part_in_words(part)) for part in found.backend_parts]
        facts.append(("Endpoints", plain(decision.endpoints)))
    return facts


def _sent(found: Explanation) -> list[tuple[str, Child]]:
    """What the backend and the client get."""
    decision = found.decision
    facts: list[tuple[str, Child]] = []
    sent = decision.request or found.would_send
    if sent is not None:
        lines = "\n".join(
            [f"{sent.method} {sent.authority}{sent.target}", *(f"{name}: {value}" for name, value in sent.headers)]
        )
        facts.append(("Sent as", tag("pre", lines)))
    if decision.response is not None and decision.response.headers:
        lines = "\n".join(f"{name}: {value}" for name, value in decision.response.headers)
        facts.append(("Answer's fields", tag("pre", lines)))
    return facts


def _backend(name: str | None, share: str) -> Child:
    return [backend_link(name) if name is not None else "none", share]


def _unbound(moment: Moment, name: str | None) -> str:
    """Why a listener does not serve what is configured; empty: it does, or nobody can say."""
    if name is None:
        return ""
    owner = name.rpartition("/")[0]
    of_owner = (one for item in moment.gateways if item.object == owner for one in item.listeners)
    listener = next((one for one in of_owner if one.id == name), None)
    return why_idle(listener) if listener is not None and not listener.good else ""


def _others(found: Explanation, rows: Rows) -> Iterator[Child]:
    if found.listeners:
        nobody = f"No listener has port {found.request.port}" if not found.at_port else "No listener takes it"
        yield tag("h2", nobody)
        if found.elsewhere:
            yield plain(found.elsewhere, 32)
        yield [tag("h3", "All listeners"), plain(found.listeners, 32)]
    if found.losers:
        yield tag("h2", "Others, and why not")
        heads = tag("tr", [tag("th", text, scope="col") for text in ("Match", "Route", "Why not")])
        losers = [
            tag(
                "tr",
                tag("td", tag("code", item.text)),
                tag("td", item.ingress or [route_link(item.route), f" rules[{item.rule}]"]),
                tag("td", "holds too, but " if item.holds else None, "; ".join(item.reasons)),
            )
            for item in found.losers
        ]
        yield tag("div", tag("table", tag("thead", heads), tag("tbody", losers)), class_="wide")
    if found.more_losers:
        yield tag("p", f"And {found.more_losers:,} more that do not take it.", class_="soft")
    if found.refused:
        yield [tag("h2", "Not served, and may have taken it"), told(found.refused, rows)]
    if found.problems:
        yield [tag("h2", "Problems"), told(found.problems, rows)]


def _title(request: Request | Connection) -> str:
    if isinstance(request, Connection):
        return f"{request.protocol}://{request.server_name or ''}:{request.port}"
    return f"{request.method} {request.scheme}://{request.authority}{request.target}"
