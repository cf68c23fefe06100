"""The sections of the page that are lists: each is the list of the API, searched and sorted by the same query."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from sluicegate.controller.stream.figures import Figures, RouteCounters

from .api import Fields, backends, matches
from .asked import (
    BACKENDS,
    CERTIFICATES,
    GATEWAYS,
    GENERATIONS,
    MATCHES,
    POLICIES,
    PROBLEMS,
    ROUTES,
    Asking,
    asking_of,
    pod_id,
)
from .facts import (
    BackendFacts,
    CertificateFacts,
    GatewayFacts,
    GenerationFacts,
    ListenerFacts,
    OverviewAnswer,
    PolicyFacts,
    RankedMatch,
    RouteFacts,
)
from .html import Child, Markup, tag
from .links import (
    Rows,
    link,
    listener_link,
    named_object,
    own_link,
    policy_link,
    route_link,
    row_link,
    target_link,
)
from .moment import Moment, generations
from .quantile import quantile
from .shell import SECTIONS, Column, conditions, place, plain, search, table, told, verdict

#: Rows of a part: a page of a thousand routes stays small.
ROWS = 50


class Look(NamedTuple):
    """What a section is made of.

    Attributes:
        moment: the facts.
        overview: how many there are, and how they are.
        read: gives what the engine counted, of some routes; None: there is no engine here.
        given: the query.
        fields: the query with fields that are there several times.
    """

    moment: Moment
    overview: OverviewAnswer
    read: Callable[[frozenset[str]], Figures | None]
    given: Mapping[str, str]
    fields: Fields

    @property
    def figures(self) -> Figures | None:
        """Of the engine, without those of routes."""
        return self.read(frozenset())

    def figures_of(self, routes: Iterable[str]) -> Figures | None:
        """Of the engine, with those of some routes."""
        return self.read(frozenset(routes))

    @property
    def asking(self) -> Asking:
        """What is asked of the list.

        Raises:
            ValueError: a field that is none.
        """
        return asking_of(self.given, ROWS)


def overview(look: Look) -> Child:
    """How all of it is, at a glance."""
    found, figures = look.overview, look.figures
    cards = []
    for name, path in _CARDS.items():
        wrong, number = found.wrong[name], found.counts[name]
        said = (
            tag("span", f"✗ {wrong:,} not as wanted", class_="bad") if wrong else tag("span", "✓ well", class_="good")
        )
        wanted = link(path, said, only="wrong") if wrong else said
        cards.append(tag("li", link(path, SECTIONS[path][0]), tag("b", f"{number:,}"), wanted))
    changed = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(found.changed)) if found.changed else "not known"
    facts = [("Configuration", f"{found.generation}, since {changed}")]
    if figures is not None:
        codes = ", ".join(f"{code} {number:,}" for code, number in sorted(figures.errors.items())) or "none"
        facts += [("Requests", f"{figures.requests:,}"), ("Answered by the gateway itself", codes)]
    live: list[Child] = []
    if figures is not None:
        live.append((tag("dt", "Connections now"), tag("dd", figures.connections, data_figure="connections")))
        live.append((tag("dt", "Requests now"), tag("dd", "–", data_figure="all")))
    nothing = "There are no counters: no pod of a data plane is connected to this controller."
    worst = [item for item in look.moment.problems if item.severity == "error"][:5]
    idle = list(_idle(look.moment))
    return [
        tag("ul", cards, class_="cards"),
        tag("dl", [(tag("dt", name), tag("dd", text)) for name, text in facts], live),
        tag("p", nothing, class_="soft") if figures is None else None,
        [tag("h2", "Not running as configured"), plain(idle)] if idle else None,
        [tag("h2", "Worst problems"), told(worst, look.moment.rows), tag("p", link("/problems", "all problems"))]
        if worst
        else None,
        tag(
            "p",
            "Keys: / to search, 1 to 9 and 0 for the sections, j and k through a list. The same as JSON: ",
            link("/api/v1", "/api/v1"),
            ".",
            class_="soft",
        ),
    ]


def _idle(moment: Moment) -> Iterator[Child]:
    """What runs otherwise than it is configured: no object is wrong, so no problem tells of it."""
    for pod in generations(moment.viewed):
        if not pod.good:
            name = f"{pod.data_plane} {pod.pod or 'no pod'}" if pod.data_plane else "this process"
            yield [row_link("/generations", pod_id(pod), "pod", name), f": {pod.state}; {pod.reason}"]
    for one in moment.gateways:
        for listener in one.listeners:
            if not listener.good:
                yield [listener_link(listener.id), f": {why_idle(listener)}"]


def why_idle(listener: ListenerFacts) -> str:
    """Why a listener does not run as configured."""
    return listener.error or "; ".join(_told_of(listener)) or "it is not served"


def _told_of(item: ListenerFacts) -> list[str]:
    return [one.message or one.reason for one in item.conditions if not one.good]


_CARDS = {
    "gateways": "/gateways",
    "routes": "/routes",
    "policies": "/policies",
    "backends": "/backends",
    "certificates": "/certificates",
    "problems": "/problems",
    "generations": "/generations",
}


def gateways(look: Look) -> Child:
    """Listeners, and what is bound."""
    items, total = GATEWAYS.take(look.moment.gateways, look.asking)
    return [
        search("/gateways", look.asking),
        tag("div", [_gateway(item) for item in items], tag("p", f"{total:,} in all", class_="soft"), id="found"),
    ]


def _gateway(item: GatewayFacts) -> Markup:
    columns = ("Listener", "Serves", "Bound", "Routes", "Certificates", "Policies", "Status")
    rows = [_listener(one) for one in item.listeners]
    shown = tag(
        "table", tag("thead", tag("tr", [tag("th", text, scope="col") for text in columns])), tag("tbody", rows)
    )
    addresses = f" at {', '.join(item.addresses)}" if item.addresses else None
    return tag(
        "section",
        tag("h2", own_link(item.object), " ", verdict(good=item.good, well="well", badly="not as wanted")),
        tag("p", place(item.path, item.line), addresses),
        conditions(one for one in item.conditions if not one.good),
        tag("div", shown, class_="wide") if rows else None,
        told(item.problems),
        id=item.object,
    )


def _listener(item: ListenerFacts) -> Markup:
    name = item.id.rpartition("/")[2]
    bad = _told_of(item)
    bound: Child = plain(item.bound) if item.bound else tag("span", item.error or "not bound", class_="bad")
    if not item.served:
        bound = tag("span", "not served", class_="bad")
    return tag(
        "tr",
        tag("td", tag("code", name)),
        tag("td", f"{item.protocol} {item.hostname or 'every hostname'}, port {item.port}" if item.served else "–"),
        tag("td", bound),
        tag("td", item.routes, class_="number"),
        tag("td", plain(row_link("/certificates", one, "certificate") for one in item.certificates)),
        tag("td", plain(map(policy_link, item.policies))),
        tag("td", verdict(good=item.good), plain(bad) if bad else None),
        id=item.id,
    )


#: Columns of what a route does.
FIGURES = (Column("Rate", "", True), Column("Errors", "", True), Column("p50", "", True), Column("p99", "", True))


def routes(look: Look) -> Child:
    """All routes; of each why it is not accepted, in words."""
    asking = look.asking
    items, total = ROUTES.take(look.moment.routes, asking)
    columns = [
        Column("Route", "object"),
        Column("Hostnames", "hostname"),
        Column("Status", "good"),
        Column("Rules", "rules", True),
        *(FIGURES if look.overview.live else ()),
    ]
    figures = (look.figures_of(item.object for item in items) or Figures()) if look.overview.live else None
    rows = [_route(item, figures) for item in items]
    return [search("/routes", asking), table("/routes", asking, columns, rows, total, "routes")]


def _route(item: RouteFacts, figures: Figures | None) -> Markup:
    shadowed = tag("p", shadowed_in_words(item.shadowed), class_="warn")
    why = tag("p", item.why) if item.why else None
    return tag(
        "tr",
        tag(
            "td", route_link(item.object, first=True), tag("div", item.made_of, class_="soft") if item.made_of else None
        ),
        tag("td", plain(link("/matches", one, hostname=one) for one in item.hostnames) if item.hostnames else "every"),
        tag("td", status_of(item), why, shadowed if item.shadowed else None),
        tag("td", item.rules, class_="number"),
        figure_cells(figures, item.object) if figures is not None else None,
        data_route=item.object,
    )


def status_of(item: RouteFacts) -> Markup:
    """Whether a route is as it was wanted."""
    if item.good and item.shadowed:
        return tag("span", "! accepted, but", class_="warn")
    return verdict(good=item.good, well="accepted", badly="not as wanted")


def shadowed_in_words(number: int) -> str:
    """How many matches of a route get nothing."""
    return (
        "one of its matches gets nothing: another comes first"
        if number == 1
        else (f"{number} of its matches get nothing: others come first")
    )


def figure_cells(figures: Figures, name: str) -> list[Markup]:
    """Requests of a route since the start; the script puts what is so now in their place."""
    found = figures.routes.get(name, RouteCounters())
    total = sum(found.requests.values())
    errors = found.requests.get("5xx", 0)
    said = {
        "rate": f"{total + found.connections:,} in all",
        "errors": f"{errors / total * 100:.2f} %" if total else "–",
        "p50": _time(quantile(figures.bounds, found.buckets, 0.5)),
        "p99": _time(quantile(figures.bounds, found.buckets, 0.99)),
    }
    return [tag("td", text, class_="number", data_figure=name) for name, text in said.items()]


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def matches_section(look: Look) -> Child:
    """For each hostname who is asked first; what gets nothing is struck out."""
    asking, hostname, mine = look.asking, look.given.get("hostname", ""), look.given.get("mine", "")
    items, total = MATCHES.take(matches(look.moment, hostname), asking)
    columns = [
        Column("Hostname", "hostname"),
        Column("Listener"),
        Column("Place", "", True),
        Column("Match"),
        Column("Route", "route"),
        Column("To"),
    ]
    rows = [_match(item, mine) for item in items]
    more = {"hostname": hostname, "mine": mine}
    named = tag("label", "Hostname", tag("input", name="hostname", value=hostname, placeholder="www.example.com"))
    told_of = "The first match that holds takes a request. Struck out: another has the same match and comes first."
    marked = tag("input", type="hidden", name="mine", value=mine) if mine else None
    return [
        tag("p", told_of, class_="soft"),
        search("/matches", asking, named, marked, wrong="only what gets nothing"),
        table("/matches", asking, columns, rows, total, "matches", more),
    ]


def _match(item: RankedMatch, mine: str) -> Markup:
    text: Child = tag("code", item.text)
    if item.shadowed:
        text = [tag("s", text), tag("div", "gets nothing: ", tag("code", item.shadowed), " comes first", class_="warn")]
    is_mine = bool(mine) and item.route == mine
    where = f"rules[{item.rule}]{'' if item.match is None else f'.matches[{item.match}]'}"
    by = f" (by {item.found_by})" if item.found_by != item.hostname else ""
    return tag(
        "tr",
        tag(
            "td", link("/matches", item.hostname, hostname=item.hostname if item.hostname != "*" else "", mine=mine), by
        ),
        tag("td", listener_link(item.listener)),
        tag("td", item.place, class_="number"),
        tag("td", text),
        tag("td", route_link(item.route, first=True), " ", tag("span", where, class_="soft code"), _mine(yes=is_mine)),
        tag("td", plain(item.backends)),
        class_="mine" if is_mine else None,
    )


def _mine(*, yes: bool) -> Child:
    return tag("b", " ← this route") if yes else None


def policies(look: Look) -> Child:
    """Which policy does what to whom."""
    asking = look.asking
    items, total = POLICIES.take(look.moment.policies, asking)
    columns = [
        Column("Policy", "object"),
        Column("Attached to", "target"),
        Column("Says"),
        Column("Holds for", "rules"),
        Column("Status", "good"),
    ]
    rows = [_policy(item, look.moment.rows) for item in items]
    return [search("/policies", asking), table("/policies", asking, columns, rows, total, "policies")]


def _policy(item: PolicyFacts, rows: Rows) -> Markup:
    holds = [f"{item.rules:,} rules"] if item.rules or not item.backends else []
    holds += [f"{item.backends:,} backends"] if item.backends else []
    bad = [one for one in item.conditions if not one.good]
    targets = plain(target_link(one, rows) for one in item.targets)
    instead = "set below it, or above" if item.overrides else "set above them"
    without = tag("p", f"Without it these rules would do what is {instead}, else nothing.", class_="soft")
    return tag(
        "tr",
        tag(
            "td",
            own_link(item.object),
            tag("div", place(item.path, item.line)),
        ),
        tag(
            "td",
            targets,
            tag("b", "overrides what is set lower") if item.overrides else None,
        ),
        tag("td", plain(item.stanzas)),
        tag("td", ", ".join(holds), without if item.rules else None),
        tag("td", verdict(good=item.good), conditions(bad), told(item.problems)),
        id=item.object,
    )


def backends_section(look: Look) -> Child:
    """Where requests go."""
    asking = look.asking
    items, total = BACKENDS.take(backends(look.moment, look.figures), asking)
    columns = [
        Column("Backend", "id"),
        Column("Endpoints", "endpoints"),
        Column("Health"),
        Column("Routes", "routes"),
        Column("Status", "good"),
    ]
    rows = [_backend(item) for item in items]
    return [search("/backends", asking), table("/backends", asking, columns, rows, total, "backends")]


def _backend(item: BackendFacts) -> Markup:
    addresses = [
        [tag("code", one.address), tag("b", " draining", class_="warn") if one.state != "ready" else None]
        for one in item.endpoints
    ]
    health = "no health check" if item.healthy is None else f"{item.healthy} healthy, {item.unhealthy} not"
    shown = f"by name: {item.external}" if item.external else plain(addresses)
    return tag(
        "tr",
        tag("td", own_link(item.id), tag("div", item.protocol, class_="soft")),
        tag("td", shown),
        tag("td", health),
        tag("td", plain(map(route_link, item.routes), rest=link("/matches", f"matches of {item.id}", search=item.id))),
        tag("td", verdict(good=item.good, badly="no ready endpoint"), told(item.problems)),
        id=item.id,
    )


def certificates(look: Look) -> Child:
    """Which ends next."""
    asking = look.asking
    items, total = CERTIFICATES.take(look.moment.certificates(time.time()), asking)
    columns = [
        Column("Secret", "id"),
        Column("Days left", "days", True),
        Column("Is"),
        Column("Names"),
        Column("Ends"),
        Column("Listeners"),
    ]
    rows = [_certificate(item) for item in items]
    return [search("/certificates", asking), table("/certificates", asking, columns, rows, total, "certificates")]


def _certificate(item: CertificateFacts) -> Markup:
    kind = {"valid": "good", "expiring": "warn", "unknown": "soft"}.get(item.state, "bad")
    ends = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(item.not_after)) if item.not_after is not None else "–"
    return tag(
        "tr",
        tag("td", own_link(item.id)),
        tag("td", item.days_left if item.days_left is not None else "–", class_="number"),
        tag("td", f"{'✓' if item.good else '✗'} {item.state}", class_=kind),
        tag("td", plain(item.names)),
        tag("td", ends),
        tag("td", plain(map(listener_link, item.listeners))),
        id=item.id,
    )


def problems(look: Look) -> Child:
    """All that is wrong, with field and remedy."""
    asking = look.asking
    items, total = PROBLEMS.take(look.moment.problems, asking)
    columns = [
        Column("Severity", "severity"),
        Column("Object", "object"),
        Column("What is wrong, and what to do"),
        Column("Code", "code"),
    ]
    rows = [
        tag(
            "tr",
            tag("td", item.severity, class_={"error": "bad", "warning": "warn"}.get(item.severity)),
            tag(
                "td",
                named_object(item.object, look.moment.rows, first=True),
                tag("div", place(item.path, item.line)),
            ),
            tag(
                "td",
                tag("code", item.field) if item.field else None,
                " ",
                item.message,
                tag("div", tag("b", "What to do: "), item.remedy) if item.remedy else None,
            ),
            tag("td", tag("code", item.code)),
        )
        for item in items
    ]
    only = search("/problems", asking, wrong="without hints")
    return [only, table("/problems", asking, columns, rows, total, "problems")]


def generations_section(look: Look) -> Child:
    """Which pod has not the newest configuration."""
    asking = look.asking
    items, total = GENERATIONS.take(generations(look.moment.viewed), asking)
    columns = [Column("Pod", "pod"), Column("State", "state"), Column("Applied", "generation", True), Column("Why")]
    rows = [_generation(item, _naming(look.moment, item)) for item in items]
    newest = (
        f"The newest configuration is {look.overview.generation}. A pod that is current may have applied a lower"
        " number: what came since was not for it."
    )
    return [
        tag("p", newest, class_="soft"),
        search("/generations", asking, wrong="only those that have not the newest"),
        table("/generations", asking, columns, rows, total, "pods"),
    ]


def _naming(moment: Moment, item: GenerationFacts) -> int:
    """How many problems name a pod."""
    return PROBLEMS.take(moment.problems, Asking(search=item.pod))[1] if item.pod else 0


def _generation(item: GenerationFacts, naming: int) -> Markup:
    name = [tag("code", item.data_plane), " ", tag("code", item.pod or "no pod")] if item.data_plane else "this process"
    number = "one problem names" if naming == 1 else f"{naming:,} problems name"
    told_of = link("/problems", f"{number} {item.pod}", search=item.pod)
    return tag(
        "tr",
        tag("td", name),
        tag("td", verdict(good=item.good, well=item.state, badly=item.state)),
        tag("td", item.generation or "–", class_="number"),
        tag("td", item.reason, tag("div", told_of) if naming else None),
        id=pod_id(item),
    )
