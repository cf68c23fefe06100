"""What is different for every host, whatever its annotations say: told once, and no loss of any Ingress.

docs/migration.md has the same rows (`tests/migrate/test_verify_report.py` holds that).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from sluicegate.controller.ingress.losses import Aspect
from sluicegate.controller.ingress.probes import Answer, Probe

from .compare import read_cors, seen

_Look = Callable[[Probe, Answer, Answer], bool]
_OWN_ANSWERS = frozenset({"strict-transport-security"})


@dataclass(frozen=True, slots=True)
class Everywhere:
    """A difference of every host.

    Attributes:
        name: of it.
        there: what the source does.
        here: what the gateway does.
        aspects: what answers differ in then.
        holds: whether it explains two answers to a request.
    """

    name: str
    there: str
    here: str
    aspects: frozenset[Aspect]
    holds: _Look


def _is_unlisted_tls(probe: Probe, theirs: Answer, ours: Answer) -> bool:
    return probe.scheme == "https" and ours.refused and theirs.server == "_" and theirs.status == 404


def _is_blocked_nowhere(_probe: Probe, theirs: Answer, ours: Answer) -> bool:
    return theirs.server == "_" and theirs.status == 403 and (ours.refused or ours.status == 404)


def _always(_probe: Probe, _theirs: Answer, _ours: Answer) -> bool:
    return True


def _is_no_preflight(probe: Probe, theirs: Answer, _ours: Answer) -> bool:
    """Any OPTIONS is answered there, as long as the origin is allowed; here it takes both fields of a preflight."""
    asks = probe.field("origin") is not None and probe.field("access-control-request-method") is not None
    return probe.method == "OPTIONS" and not (asks and theirs.status == 204)


def _is_own_answer(_probe: Probe, theirs: Answer, ours: Answer) -> bool:
    """Fields of configuration are missing in an answer of the gateway itself; none that is there is another one."""
    fields = theirs.fields.items()
    return bool(theirs.status and ours.status) and all(ours.fields.get(name) in {None, value} for name, value in fields)


def _is_redirected_preflight(probe: Probe, theirs: Answer, ours: Answer) -> bool:
    return probe.method == "OPTIONS" and theirs.status == 204 and 300 <= ours.status < 400


def _is_star_with_credentials(probe: Probe, theirs: Answer, ours: Answer) -> bool:
    """`*` there and the origin here; all else is the same, of an answer to a preflight what is read of it."""
    look = read_cors if probe.method == "OPTIONS" else seen
    left, right = (look(probe, item.fields) for item in (theirs, ours))
    same = {**left, "credentials": True} == {**right, "credentials": True}
    return theirs.fields.get("access-control-allow-origin") == "*" and "allowed" in left and same


def _is_redirect_without_certificate(probe: Probe, theirs: Answer, ours: Answer) -> bool:
    return theirs.status == 400 and probe.scheme == "https" and not probe.certificate and 300 <= ours.status < 400


def _is_no_call(probe: Probe, _theirs: Answer, ours: Answer) -> bool:
    call = re.fullmatch(r"/[^/]+/[^/]+", probe.target.partition("?")[0])
    return (probe.field("content-type") == "application/grpc") and call is None and ours.status == 404


def _is_other_refusal(_probe: Probe, theirs: Answer, ours: Answer) -> bool:
    return (theirs.status, ours.status) == (403, 401)


def _is_refused_without_path(_probe: Probe, theirs: Answer, ours: Answer) -> bool:
    """What nobody has written has the rules of the Ingress that named the host first, and no backend."""
    implied = theirs.place[1].startswith("spec.rules[") and theirs.place[1].endswith(".host")
    return implied and ours.status == 404 and theirs.status in {204, 400, 401, 403, 503}


def _is_host_in_other_form(probe: Probe, _theirs: Answer, _ours: Answer) -> bool:
    return ":" in probe.host or probe.host.endswith(".")


EVERYWHERE: tuple[Everywhere, ...] = (
    Everywhere(
        "unlisted-tls",
        "port 443 answers 404 for hosts that nobody has, with a certificate of its own",
        "the handshake is refused",
        frozenset({"reach"}),
        _is_unlisted_tls,
    ),
    Everywhere(
        "unlisted-blocked",
        "clients of `block-cidrs` are told 403 for hosts that nobody has",
        "they are told 404, as all others are",
        frozenset({"access", "reach"}),
        _is_blocked_nowhere,
    ),
    Everywhere(
        "slash",
        "the redirects to https and to `www.` take a `/` off the end of the path",
        "the path stays",
        frozenset({"redirect-slash"}),
        _always,
    ),
    Everywhere(
        "host-form",
        "redirects to the same host have it as the request writes it, with a port or a full stop behind it",
        "they have its name, and the port of the listener",
        frozenset({"redirect"}),
        _is_host_in_other_form,
    ),
    Everywhere(
        "preflight",
        "any `OPTIONS` request is answered where CORS is on",
        "preflights are",
        frozenset({"preflight"}),
        _is_no_preflight,
    ),
    Everywhere(
        "redirected-preflight",
        "a preflight is answered before any redirect",
        "it is redirected as any request, which browsers take for a refusal",
        frozenset({"preflight"}),
        _is_redirected_preflight,
    ),
    Everywhere(
        "cors-origin",
        "where all origins are allowed, `*` is sent, also with credentials, where browsers refuse it",
        "with credentials the origin itself is sent",
        frozenset({"preflight", "answer-fields"}),
        _is_star_with_credentials,
    ),
    Everywhere(
        "path",
        "paths with `//`, dots or `%` are matched decoded, and go on as they came",
        "they are matched and go on in their plain form, with `/` encoded; what backends could read otherwise is 400",
        # By no aspect: what differs but for this is named by itself (`premises`).
        frozenset(),
        _always,
    ),
    Everywhere(
        "grpc",
        "backends that speak gRPC get whatever comes",
        "they get calls, `/service/method`; all else is 404",
        frozenset({"status", "access", "closed"}),
        _is_no_call,
    ),
    Everywhere(
        "client-redirect",
        "a host that asks for certificates of clients asks before it redirects",
        "redirects ask nobody",
        frozenset({"redirect"}),
        _is_redirect_without_certificate,
    ),
    Everywhere(
        "refusal",
        "addresses are looked at before passwords: who has neither is told 403",
        "who has neither is told 401",
        frozenset({"access"}),
        _is_other_refusal,
    ),
    Everywhere(
        "nobody",
        "where a host lacks a path, who may not see the host is refused, and preflights are answered",
        "it is 404 for everybody",
        frozenset({"access", "status", "preflight"}),
        _is_refused_without_path,
    ),
    Everywhere(
        "own-answers",
        "redirects and refusals have the fields of configuration too, such as `Strict-Transport-Security`",
        "answers of backends have them",
        frozenset({"answer-fields"}),
        _is_own_answer,
    ),
)
