"""One pod on the stream: who calls and may go on calling, what it says first, what is written to it.

Tokens are looked at before anything that the caller sends is read, and again while a session lasts: it ends where one
is not accepted any more (its pod is gone, or it is too old: the pod comes back with a new one). An API server that does
not answer ends none.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

from ..complain import Complain
from .messages import Request, Response
from .onlookers import Asked
from .plane import PlaneKey
from .review import BusyError, Caller, RefusedTokenError, Reviewer
from .session import Budget, ProtocolError, Session
from .transport import Code, Context, address_of

#: Requests before the first transaction: one for each section of any version.
MAX_SUBSCRIPTIONS = 64


class EndError(Exception):
    """A session has to end, with a code for the other side."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(eq=False, slots=True)
class Connection:
    """One pod on the stream; `writing`: one message after the other."""

    plane: PlaneKey
    caller: Caller
    session: Session = field(default_factory=Session)
    budget: Budget = field(default_factory=lambda: Budget(time.monotonic()))
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    end: EndError | None = None
    asked: Asked = field(default_factory=Asked)
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def stop(self, code: Code, message: str) -> None:
        """Make it end."""
        self.end = EndError(code, message)
        self.wake.set()


class Admission:
    """Says who calls, by the tokens that are shown."""

    def __init__(self, reviewer: Reviewer, complain: Complain, seconds: float) -> None:
        """Admit nobody yet.

        Args:
            reviewer: looks at tokens.
            complain: takes a code and a message.
            seconds: between two looks at the token of a session.
        """
        self._reviewer = reviewer
        self._complain = complain
        self._seconds = seconds

    async def admit(self, context: Context) -> tuple[Caller, str]:
        """Who calls, and by which token.

        Raises:
            EndError: nobody that we know.
        """
        metadata = context.invocation_metadata() or ()
        values = [value for name, value in metadata if name == "authorization"]
        value = values[0] if len(values) == 1 and isinstance(values[0], str) else ""
        if not value.startswith("Bearer "):
            raise EndError(Code.UNAUTHENTICATED, "a bearer token is required")
        token = value.removeprefix("Bearer ")
        try:
            caller = await self._reviewer.review(token, address_of(context))
        except RefusedTokenError:
            raise EndError(Code.UNAUTHENTICATED, "the token is not accepted") from None
        except BusyError as error:
            self._complain("review_failed", str(error))
            raise EndError(Code.UNAVAILABLE, "the token cannot be reviewed now") from None
        return caller, token

    async def review_again(self, connection: Connection, token: str, peer: str) -> None:
        """End a session whose token is not accepted any more."""
        while True:
            await asyncio.sleep(self._seconds * random.uniform(0.8, 1.0))  # noqa: S311 (not all at once)
            try:
                await self._reviewer.review(token, peer)
            except RefusedTokenError:
                # Most are only too old, and the pod has a newer one: it may come back at once, and is looked at then.
                connection.stop(Code.UNAVAILABLE, "connect again: the token is not accepted any more")
                return
            except BusyError:
                continue  # not known now: the session was good, and goes on


async def subscribe(connection: Connection, requests: AsyncIterator[Request], seconds: float) -> None:
    """Take what a pod says first, within some seconds.

    Raises:
        EndError: it does not.
    """

    async def read() -> None:
        for _ in range(MAX_SUBSCRIPTIONS):
            request = await anext(requests, None)
            if request is None:
                raise ProtocolError("the stream ended before it said what is wanted")
            if connection.session.subscribe(request):
                return
        raise ProtocolError(f"more than {MAX_SUBSCRIPTIONS} subscriptions")

    try:
        await asyncio.wait_for(read(), seconds)
    except ProtocolError as error:
        raise EndError(Code.INVALID_ARGUMENT, str(error)) from None
    except TimeoutError:
        raise EndError(Code.DEADLINE_EXCEEDED, "nothing was subscribed to in time") from None


async def write(context: Context, responses: Iterable[Response], seconds: float) -> None:
    """Write to a pod, within some seconds.

    Raises:
        EndError: it does not read.
    """

    async def every() -> None:
        for response in responses:
            await context.write(response)

    try:
        await asyncio.wait_for(every(), seconds)
    except TimeoutError:
        raise EndError(Code.DEADLINE_EXCEEDED, "what is sent is not read") from None
