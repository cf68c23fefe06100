"""Parts of an HTTPFilter that are no filters of the engine: `credential`, `fault`, `buffer`, `telemetry`.

In the IR they are policies of their rule or listener, which run when all others have let a request pass.
"""

from __future__ import annotations

import base64

from sluicegate import ir

from ...api import BufferFilter, CredentialFilter, FaultFilter, FaultShare, Fraction, Secret, TelemetryFilter
from ..conditions import Reason
from ..policies.quantity import octets
from ..secrets import secret_value
from ..unsupported import Absent, Unsupported
from ..values import MAX_INT32, header_value, header_value_error, is_token, parse_duration
from .context import FilterContext, add_policy
from .headers import MANAGED_FIELDS

#: A request waits for so long at most.
MAX_DELAY_MS = 30_000
#: Memory of one request; the engine has a limit for all together (`body_buffer_bytes`).
MAX_BUFFER = 1 << 30
#: Statuses of a request that is refused.
MIN_ABORT, MAX_ABORT = 400, 599
#: Keys of a Secret with a credential: one that is whole; a token; user and password (`kubernetes.io/basic-auth`).
WHOLE, TOKEN, USER, PASSWORD = "credential", "token", "username", "password"


def credential(credential: CredentialFilter, field: str, context: FilterContext) -> tuple[ir.Filter, ...]:
    """A field with which the gateway proves itself to the backend."""
    name = credential.header
    if not is_token(name) or name.lower() in MANAGED_FIELDS or name.lower() in {"host", ":authority"}:
        raise Unsupported(f"{field}.header", f"{name!r} is no field for a credential", "use a name such as X-API-Key")
    value = header_value(_credential(credential, field, context))
    error = header_value_error(value)
    if error is not None:
        # What it is, nobody is told.
        message = f"what the Secret {credential.secret_ref.name} has {error}"
        raise Unsupported(f"{field}.secretRef", message, "use printable characters, without a line end")
    identifier = context.policy_id(ir.FilterCredential)
    context.secrets[identifier] = ir.PolicySecret(id=identifier, data=value)
    policy = ir.FilterCredential(id=identifier, header=name, secret=identifier, backend=context.backend)
    return add_policy(policy, context)


def _credential(credential: CredentialFilter, field: str, context: FilterContext) -> str:
    """The whole value of the field."""
    reference = credential.secret_ref
    secret = context.secret(reference.name)
    if secret is None:
        message = f"Secret {reference.name} does not exist in the namespace of the {context.owner}"
        raise Absent(f"{field}.secretRef", message, "create it or correct the name", Reason.INVALID_KIND)
    if reference.key:
        return _scheme(credential) + _value(secret, reference.key, field)
    present = {*secret.data, *secret.string_data}
    if {USER, PASSWORD} <= present and not {WHOLE, TOKEN} & present:
        pair = f"{_value(secret, USER, field)}:{_value(secret, PASSWORD, field)}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"
    if WHOLE in present:
        return _scheme(credential) + _value(secret, WHOLE, field)
    if TOKEN in present:
        return (_scheme(credential) or "Bearer ") + _value(secret, TOKEN, field)
    message = f"Secret {secret.name} has none of the keys {WHOLE}, {TOKEN}, or {USER} with {PASSWORD}"
    raise Unsupported(f"{field}.secretRef", message, "give it one of them, or name a key", Reason.INVALID_KIND)


def _scheme(credential: CredentialFilter) -> str:
    return f"{credential.scheme} " if credential.scheme else ""


def _value(secret: Secret, key: str, field: str) -> str:
    found = secret_value(secret, key)
    try:
        text = found.decode().rstrip("\r\n") if found is not None else ""
    except UnicodeDecodeError:
        text = ""
    if not text:
        message = f"Secret {secret.name}: {key} is missing, empty, or not base64 of UTF-8"
        raise Unsupported(f"{field}.secretRef", message, f"give it {key}", Reason.INVALID_KIND)
    return text


def fault(fault: FaultFilter, field: str, context: FilterContext) -> tuple[ir.Filter, ...]:
    """Requests that are held up or refused on purpose."""
    if fault.delay is None and fault.abort is None:
        raise Unsupported(field, "it neither delays nor aborts", "give delay, abort or both")
    if fault.when is not None:
        error = context.checks.expression(fault.when, "condition")
        if error is not None:
            raise Unsupported(f"{field}.when", f"{fault.when!r}: {error}", "correct the expression")
    delay, abort = None, None
    if fault.delay is not None:
        duration = parse_duration(fault.delay.duration)
        if duration is None or not 0 < duration <= MAX_DELAY_MS:
            message = f"{fault.delay.duration!r} is no time of up to 30 seconds"
            raise Unsupported(f"{field}.delay.duration", message, "use a value such as 500ms")
        delay = ir.FaultDelay(milliseconds=duration, percentage=_share(fault.delay, f"{field}.delay"))
    if fault.abort is not None:
        if not MIN_ABORT <= fault.abort.status <= MAX_ABORT:
            message = f"{fault.abort.status} is no status of an error"
            raise Unsupported(f"{field}.abort.status", message, f"use {MIN_ABORT} to {MAX_ABORT}")
        abort = ir.FaultAbort(status=fault.abort.status, percentage=_share(fault.abort, f"{field}.abort"))
    policy = ir.FilterFault(id=context.policy_id(ir.FilterFault), when=fault.when, delay=delay, abort=abort)
    return add_policy(policy, context)


def _share(share: FaultShare, field: str) -> ir.Percentage:
    if share.percent is not None and share.fraction is not None:
        raise Unsupported(field, "percent and fraction cannot be combined", "keep one of them")
    fraction = share.fraction or Fraction(numerator=100 if share.percent is None else share.percent)
    return _parts_of(fraction, field, "use 0 to 100 percent")


def _parts_of(fraction: Fraction, field: str, remedy: str) -> ir.Percentage:
    numerator, denominator = fraction.numerator, fraction.denominator
    if not 0 <= numerator <= denominator or not 0 < denominator <= MAX_INT32:
        raise Unsupported(field, f"{numerator} of {denominator} is not a share of requests", remedy)
    return ir.Percentage(numerator=numerator, denominator=denominator)


def buffer(buffer: BufferFilter, field: str, context: FilterContext) -> tuple[ir.Filter, ...]:
    """Bodies are collected before the backend is asked."""
    size = octets(buffer.max_size)
    if size is None or size > MAX_BUFFER:
        message = f"{buffer.max_size!r} is no size of up to 1Gi"
        raise Unsupported(f"{field}.maxSize", message, "write octets, such as 1048576, or 512Ki, 10Mi")
    return add_policy(ir.FilterBuffer(id=context.policy_id(ir.FilterBuffer), max_bytes=size), context)


def telemetry(telemetry: TelemetryFilter, field: str, context: FilterContext) -> tuple[ir.Filter, ...]:
    """Of which requests there are traces, in place of what the policy of traces says."""
    remedy = "use a numerator from 0 to the denominator"
    sampling = _parts_of(telemetry.sampling, f"{field}.sampling", remedy)
    return add_policy(ir.FilterTelemetry(id=context.policy_id(ir.FilterTelemetry), sampling=sampling), context)
