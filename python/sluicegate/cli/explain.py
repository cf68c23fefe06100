"""`sluicegate explain`: who takes a request or a connection, and why others do not."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from sluicegate.controller.api import readable
from sluicegate.engine.native import Refused
from sluicegate.processes.given_backends import given_backends
from sluicegate.processes.ingress_settings import wanted_of
from sluicegate.processes.settings import Settings
from sluicegate.testing.decision import Decision
from sluicegate.testing.offline import Offline, load_offline
from sluicegate.testing.request import Connection, Request, from_client, parse_request
from sluicegate.testing.table import Table

from .because import verdict_in_words
from .cluster_error import ClusterError
from .cluster_options import KUBERNETES, misused, of_cluster, tell_unread
from .exit_status import ExitStatus
from .explanation import Explanation, explain
from .ingress_options import INGRESS_SETTINGS
from .manifests import BACKEND, COLOR, CONTROLLER_NAME, KUBECONFIG, settings_of
from .one_gateway import only_gateway
from .options import CONFIG, PATHS, Command, Option, setting
from .output import OUTPUT, write_json, write_lines
from .roles import refuse
from .timeouts_and_retries import retry_in_words, timeouts_in_words
from .tracing import tracing_in_words
from .used_backends import part_in_words, session_in_words
from .written_request import header_of, is_curl, port_of, read_curl

#: Reasons with which what was asked for comes about.
_GOOD = frozenset({"forwarded", "redirect", "respond", "cors_preflight"})
#: What a client sees where its request is never read.
_CLOSED = {
    "unrecognized_name": ": the TLS handshake ends with an alert, no listener of the port has the server name",
    "scheme_mismatch": ": the port speaks the other one of http and https",
}


def _run(given: argparse.Namespace) -> int:
    wrong = misused(given) or ("--gateway is for --kubernetes" if given.gateway and not given.kubernetes else "")
    if wrong:
        return refuse(wrong)
    try:
        asked = from_client(_asked(given), given.client, given.identity)
        settings = settings_of(given)
    except (ValueError, OSError) as error:
        return refuse(str(error))
    try:
        offline = of_cluster(settings) if given.kubernetes else _of_files(given.paths, settings)
        transaction = offline.transaction()
        if given.kubernetes:
            transaction = only_gateway(transaction, asked, given.gateway, settings.port_offset)
    except ValueError as error:  # a name that is none
        return refuse(str(error))
    except ClusterError as error:
        return error.tell()
    try:
        table = Table(transaction, settings.engine.path_normalization or "strict", settings.port_offset)
    except Refused as error:
        # A fault of ours: what `check` lets through the engine takes.
        return refuse(f"the engine does not take what these files come to: {error}")
    tell_unread(offline)
    explanation = explain(offline, table, asked)
    if given.output == "json":
        write_json(explanation)
    else:
        named = offline.ingresses.named if offline.ingresses is not None else str
        write_lines(map(named, _lines(explanation)), settings.color)
    return ExitStatus.OK if explanation.decision.reason in _GOOD else ExitStatus.FAILED


def _of_files(paths: Sequence[str], settings: Settings) -> Offline:
    """What manifests come to.

    Raises:
        ValueError: a name that is none.
    """
    return load_offline(
        paths,
        settings.controller_name,
        port_offset=settings.port_offset,
        ingress=wanted_of(settings),
        backends=given_backends(settings.backend),
    )


def _asked(given: argparse.Namespace) -> Request | Connection:
    """What is asked, by the options.

    Raises:
        RequestError: it is no request.
    """
    text, headers = given.request, [header_of(item) for item in given.header or ()]
    port = port_of(given.port, "--port")
    if is_curl(text):
        line = read_curl(text)
        text, headers, port = line.request, [*line.headers, *headers], line.port if port is None else port
    return parse_request(text, headers, port, given.sni)


def _lines(found: Explanation) -> Iterator[str]:
    decision = found.decision
    yield _title(found.request)
    if decision.listener is not None:
        yield f"  listener  {decision.listener}"
    if found.ingress is not None:
        yield f"  ingress   {found.ingress}, hostname {found.hostname}"
        yield f"  match     {found.winner}"
    elif decision.route is not None:
        yield f"  route     {decision.route}, hostname {found.hostname}"
        match = "" if decision.match is None else f".matches[{decision.match}]: {found.winner}"
        yield f"  rule      rules[{decision.rule}]{match}"
    for item in found.filters:
        yield f"  filter    {item}"
    yield from _limit_lines(found)
    yield from _policy_lines(found)
    yield from _backend_lines(decision)
    yield from _use_lines(found)
    if decision.backend is not None:
        yield f"  endpoints {', '.join(decision.endpoints) or 'none'}"
    for mirror in decision.mirrors:
        yield f"  mirror    {mirror}"
    yield from _sent_lines(found)
    yield from _answer_lines(found)
    yield from _other_lines(found)
    for problem in found.refused:
        yield f"  not served: {problem}"
    for problem in found.problems:
        yield f"  problem   {problem}"


def _other_lines(found: Explanation) -> Iterator[str]:
    """Who does not take it."""
    if found.decision.listener is None and not found.at_port:
        yield (
            f"  no listener has port {found.request.port}: nobody answers there, unless what is before the gateway maps"
            " the port; for a URL that serve printed give its --port-offset"
        )
    for listener in found.elsewhere:
        yield f"  elsewhere {listener}"
    for listener in found.listeners:
        yield f"  not by    {listener}"
    for loser in found.losers:
        match = "" if loser.match is None else f".matches[{loser.match}]"
        place = f"{loser.ingress or f'{loser.route} rules[{loser.rule}]{match}'}: {loser.text}"
        yield f"  {'holds too' if loser.holds else 'not'}: {place}: {'; '.join(loser.reasons)}"
    if found.more_losers:
        yield f"  and {found.more_losers:,} more that do not take it"


def _limit_lines(found: Explanation) -> Iterator[str]:
    if found.timeouts is not None:
        yield f"  timeouts  {timeouts_in_words(found.timeouts)}"
    if found.retry is not None and isinstance(found.request, Request):
        yield f"  retry     {retry_in_words(found.retry, found.request.method)}"
    if found.tracing is not None:
        yield f"  traced    {tracing_in_words(found.tracing)}"


def _policy_lines(found: Explanation) -> Iterator[str]:
    for said, because, origin in zip(found.decision.policies, found.because, found.origins, strict=True):
        word = verdict_in_words(said)
        why, where = f": {because}" if because else "", f"  [{origin}]" if origin else ""
        yield f"  policy    {said.stanza} of {readable(said.policy)}: {word}{why}{where}"


def _sent_lines(found: Explanation) -> Iterator[str]:
    sent = found.decision.request or found.would_send
    if sent is not None:
        once = " (once there is an endpoint)" if found.would_send is not None else ""
        yield f"  sent as   {sent.method} {sent.authority}{sent.target}{once}"
        yield from (f"              {name}: {value}" for name, value in sent.headers)
    elif isinstance(found.request, Request) and found.decision.outcome == "forward":
        yield "  carried   unread: what comes to this listener are connections"


def _backend_lines(decision: Decision) -> Iterator[str]:
    """All backends of the rule, the one that an endpoint was looked for in first."""
    denied = any(said.verdict == "deny" for said in decision.policies)
    if denied or decision.reason in {"redirect", "respond", "cors_preflight", "rule_invalid"}:
        return
    total = sum(item.weight for item in decision.backends)
    first = [item for item in decision.backends if item.backend == decision.backend]
    for item in dict.fromkeys([*first, *decision.backends]):
        name = item.backend if item.backend is not None else "none (it cannot be used)"
        share = f" (weight {item.weight} of {total})" if len(decision.backends) > 1 else ""
        yield f"  backend   {name}{share}"


def _use_lines(found: Explanation) -> Iterator[str]:
    """What keeps clients with an endpoint, and what policies say of the backend."""
    if found.session is not None:
        where = f"  [{found.session.policy}]" if found.session.policy is not None else ""
        yield f"  session   {session_in_words(found.session)}{where}"
    for part in found.backend_parts:
        yield f"  policy    {part_in_words(part)}"


def _title(request: Request | Connection) -> str:
    if isinstance(request, Connection):
        return f"{request.protocol}://{request.server_name or ''}:{request.port}"
    return f"{request.method} {request.scheme}://{request.authority}{request.target} (port {request.port})"


def _answer_lines(found: Explanation) -> Iterator[str]:
    decision = found.decision
    if decision.outcome == "close":
        is_udp = isinstance(found.request, Connection) and found.request.protocol == "udp"
        meaning = _CLOSED.get(decision.reason, "")
        yield f"  {'dropped' if is_udp else 'closed '}   ({decision.reason}){meaning}"
    if decision.outcome == "respond":
        grpc = f", gRPC status {found.grpc_status}" if found.grpc_status is not None else ""
        yield f"  answer    {decision.status} ({decision.reason}){grpc}"
        if decision.response is not None:
            yield from (f"              {name}: {value}" for name, value in decision.response.headers)


COMMAND = Command(
    name="explain",
    description="Say which listener, route, rule and match take a request or a connection, and why others do not.",
    run=_run,
    paths=PATHS,
    paths_optional=True,
    options=(
        Option(
            ("--request", "-r"),
            "What is asked: a method, which may be left out, and a URL; or a whole curl line.",
            metavar="'METHOD URL'",
        ),
        Option(("--header", "-H"), "A header field.", "none", "'NAME: VALUE'", repeats=True),
        Option(("--sni",), "Server name of the TLS handshake; empty: the client sends none.", "the URL's host", "NAME"),
        Option(("--from",), "Address of who asks, for policies.", "nobody can say", "ADDRESS", name="client"),
        Option(
            ("--as",),
            'Who asks, as if they had proved it: jwt:{"sub": "anna"}, apiKey:shop, basic:anna.',
            "the header fields have to show it",
            "PROOF:WHO",
            name="identity",
        ),
        Option(("--port",), "Port that the client connects to.", "the URL's", "NUMBER"),
        setting(Settings, "port_offset", "As the gateway has it: the URL may be one that serve printed.", "NUMBER"),
        KUBERNETES,
        KUBECONFIG,
        Option(
            ("--gateway",),
            "With --kubernetes: the Gateway that is asked.",
            "the one that alone has a listener for it",
            "[NAMESPACE/]NAME",
        ),
        CONTROLLER_NAME,
        BACKEND,
        *INGRESS_SETTINGS,
        CONFIG,
        COLOR,
        OUTPUT,
    ),
    examples=(
        ("sluicegate explain manifests -r 'GET https://www.example.com/login' -H 'x-user: anna'", "a request"),
        ("sluicegate explain manifests -r 'curl -H \"x-user: anna\" https://www.example.com/login'", "a curl line"),
        ("sluicegate explain manifests -r grpcs://www.example.com/package.Service/Method", "a call of gRPC over TLS"),
        ("sluicegate explain manifests -r wss://www.example.com/chat", "a WebSocket; also ws, and grpc without TLS"),
        ("sluicegate explain manifests -r tls://www.example.com:443", "a connection; also tcp://:5432 and udp://:53"),
        (
            'sluicegate explain manifests -r https://www.example.com/ --from 203.0.113.7 --as \'jwt:{"sub": "anna"}\'',
            "what policies say of somebody, and why",
        ),
        ("sluicegate explain --kubernetes -r https://www.example.com/", "what a cluster does with it"),
    ),
    notes="path_normalization of the settings file counts.",
)
