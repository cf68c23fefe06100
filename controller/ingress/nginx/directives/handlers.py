"""What each directive of a snippet asks for.

Source: the directives of nginx' modules `rewrite`, `headers`, `proxy`, `access`, `log`, and of headers-more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from ... import values
from ...expressions import quoted
from ..variables import said
from .conditions import condition
from .draft import Draft
from .parsing import Directive

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_URL = re.compile(r"https?://[^\s$]+(?:\$request_uri)?")
_GROUP = re.compile(r"\$\{?([0-9])\}?")
#: Octets of an answer (HTTPFilter).
MAX_BODY = 16_384
#: Directives that change nothing here; a name holds for all that begin with it.
HARMLESS = frozenset(
    {
        "client_body_buffer_size",
        "chunked_transfer_encoding",
        "error_log",
        "log_not_found",
        "proxy_buffer",
        "proxy_buffers",
        "proxy_busy_buffers_size",
        "proxy_headers_hash",
        "proxy_http_version",
        "proxy_max_temp_file_size",
        "rewrite_log",
        "server_tokens",
        "tcp_nodelay",
        "tcp_nopush",
        "types_hash_max_size",
    }
)
#: Fields that the gateway says to backends itself.
_FORWARDING = frozenset(
    {"$proxy_add_x_forwarded_for", "$remote_addr", "$http_x_forwarded_for", "$full_x_forwarded_for"}
)
_CONNECTION = frozenset({"connection", "upgrade", "te", "transfer-encoding", "content-length", "keep-alive", "expect"})


def take(directive: Directive, draft: Draft) -> bool:
    """Take what a directive asks for; False: nothing says the same."""
    handler = HANDLERS.get(directive.name)
    if handler is None:
        return directive.block is None and is_harmless(directive.name)
    return handler(directive, draft)


def is_harmless(name: str) -> bool:
    """Whether a directive changes nothing here, as those that begin like it."""
    while name:
        if name in HARMLESS:
            return True
        name = name.rpartition("_")[0]
    return False


def _field(text: str) -> tuple[str, str] | None:
    """Name and value of `Name: value`; None: no field."""
    name, colon, value = (part.strip() for part in text.partition(":"))
    return (name, value) if colon and values.is_token(name) else None


def _set(name: str, value: str, plain: dict[str, tuple[str, str]], computed: dict[str, tuple[str, str]]) -> bool:
    found = said(value)
    if found is None or not values.is_token(name):
        return False
    if found.computed:
        computed[name.lower()] = (name, found.text)
    elif values.is_field_value(value):
        plain[name.lower()] = (name, value)
    else:
        return False
    return True


def _more_set(directive: Directive, draft: Draft) -> bool:
    """`more_set_headers "Name: value" ...`; an empty value takes the field out."""
    fields = [_field(item) for item in directive.arguments]
    return bool(fields) and all(item is not None and _answer_field(*item, draft) for item in fields)


def _answer_field(name: str, value: str, draft: Draft) -> bool:
    if not value:
        draft.answers_hidden.append(name)
        return True
    return _set(name, value, draft.answers, draft.answers_computed)


def _more_clear(directive: Directive, draft: Draft) -> bool:
    return _names(directive.arguments, draft.answers_hidden)


def _names(names: Iterable[str], into: list[str]) -> bool:
    found = list(names)
    if not found or not all(map(values.is_token, found)) or any("*" in name for name in found):
        return False
    into += found
    return True


def _add(directive: Directive, draft: Draft) -> bool:
    """`add_header Name value [always]`."""
    if len(directive.arguments) < 2 or directive.arguments[2:] not in {(), ("always",)}:
        return False
    name, value = directive.arguments[:2]
    if not values.is_token(name) or not values.is_field_value(value) or "$" in value:
        return False
    if name.lower() == "content-type":
        draft.content_type = value
        return True
    if directive.arguments[2:] != ("always",):
        draft.differs(f"{name} is in errors too")
    draft.answers_added.append((name, value))
    return True


def _type(directive: Directive, draft: Draft) -> bool:
    if len(directive.arguments) != 1 or not values.is_field_value(directive.arguments[0]):
        return False
    draft.content_type = directive.arguments[0]
    return True


def _proxy_set(directive: Directive, draft: Draft) -> bool:
    """`proxy_set_header Name value`; at a server it does nothing, since each location has some of its own."""
    if len(directive.arguments) != 2:
        return False
    name, value = directive.arguments
    if draft.of_server:
        draft.differs(f"proxy_set_header {name} never did anything there")
        return True
    return _request_field(name, value, draft)


def _request_field(name: str, value: str, draft: Draft) -> bool:
    folded = name.lower()
    if folded in _CONNECTION or (folded in {"x-forwarded-for", "x-real-ip"} and value in _FORWARDING):
        draft.differs(f"{name} is the gateway's to say")
        return True
    if folded == "host":
        return False
    if not value:
        draft.requests_removed.append(name)
        return values.is_token(name)
    return _set(name, value, draft.requests, draft.requests_computed)


def _more_set_input(directive: Directive, draft: Draft) -> bool:
    fields = [_field(item) for item in directive.arguments]
    return bool(fields) and all(item is not None and _request_field(*item, draft) for item in fields)


def _more_clear_input(directive: Directive, draft: Draft) -> bool:
    return _names(directive.arguments, draft.requests_removed)


def _return(directive: Directive, draft: Draft) -> bool:
    """`return URL`, `return STATUS [URL or text]`, for every request."""
    status, text = _returned(directive)
    if status in _REDIRECTS and _URL.fullmatch(text):
        draft.redirect = draft.redirect or (status, text)
        return True
    if status in _REDIRECTS or not 200 <= status <= 599 or "$" in text or len(text.encode()) > MAX_BODY:
        return False
    draft.differs("policies come before the answer")
    draft.answer = draft.answer or (status, text)
    return True


def _returned(directive: Directive) -> tuple[int, str]:
    """Status and text of a `return`; status 0: it is none."""
    first, *rest = directive.arguments or ("",)
    if _URL.fullmatch(first):
        return 302, first
    return (int(first), " ".join(rest)) if re.fullmatch(r"[1-5][0-9]{2}", first) and len(rest) <= 1 else (0, "")


def _rewrite(directive: Directive, draft: Draft) -> bool:
    """`rewrite PATTERN PATH break`: the path becomes another one where the pattern is found in it."""
    if len(directive.arguments) != 3 or directive.arguments[2] != "break" or draft.edit is not None or draft.of_server:
        return False
    pattern, target = directive.arguments[:2]
    replacement = _GROUP.sub(r"\\\1", target)
    if "$" in replacement or "?" in target or not target.startswith("/") or "|" in pattern:
        return False
    starts, ends = pattern.startswith("^"), pattern.endswith("$") and not pattern.endswith("\\$")
    core = pattern[starts : len(pattern) - ends]
    whole = f"^{'' if starts else '.*?'}{core}{'' if ends else '.*'}$"
    if not draft.expressible(whole):
        return False
    draft.edit = (whole, replacement)
    return True


def _if(directive: Directive, draft: Draft) -> bool:
    """`if (CONDITION) { return 403; }`: requests are refused by what they say."""
    block = directive.block or ()
    if len(block) != 1 or block[0].name != "return" or not _refuses(block[0], draft):
        return False
    found = condition(directive.arguments, draft.expressible)
    if found is None:
        return False
    draft.refusals.append(found)
    return True


def _refuses(directive: Directive, draft: Draft) -> bool:
    """Whether a directive answers with an error; it is 403 here."""
    if directive.name == "deny":
        return directive.arguments == ("all",)
    status = _returned(directive)[0] if directive.name == "return" else 0
    if 400 <= status <= 499 and status != 403:
        draft.differs(f"what was answered {status} is answered 403")
    return 400 <= status <= 499


def _location(directive: Directive, draft: Draft) -> bool:
    """`location PATH { deny all; }` of a server: requests are refused by their path."""
    block = [item for item in directive.block or () if item.name not in {"access_log", "log_not_found"}]
    if not draft.of_server or not block or not all(_refuses(item, draft) for item in block):
        return False
    *modifiers, path = directive.arguments or ("",)
    modifier = modifiers[0] if modifiers else ""
    if modifier in {"", "^~"} and path.startswith("/"):
        draft.refusals.append(f"request.path.startsWith({quoted(path)})")
        draft.differs(f"{path} is refused also where a longer path is served")
    elif modifier == "=" and path.startswith("/"):
        draft.refusals.append(f"request.path == {quoted(path)}")
    elif modifier in {"~", "~*"} and draft.expressible(path):
        draft.refusals.append(f"request.path.matches({quoted(f'(?i){path}' if modifier == '~*' else path)})")
    else:
        return False
    return True


def _access(directive: Directive, draft: Draft) -> bool:
    if len(directive.arguments) != 1:
        return False
    draft.access.append((directive.name, directive.arguments[0]))
    return True


def _log(directive: Directive, draft: Draft) -> bool:
    draft.quiet = draft.quiet or directive.arguments[:1] == ("off",)
    return True


#: What takes each directive.
HANDLERS: dict[str, Callable[[Directive, Draft], bool]] = {
    "more_set_headers": _more_set,
    "more_clear_headers": _more_clear,
    "proxy_hide_header": _more_clear,
    "add_header": _add,
    "default_type": _type,
    "proxy_set_header": _proxy_set,
    "more_set_input_headers": _more_set_input,
    "more_clear_input_headers": _more_clear_input,
    "return": _return,
    "rewrite": _rewrite,
    "if": _if,
    "location": _location,
    "allow": _access,
    "deny": _access,
    "access_log": _log,
}
