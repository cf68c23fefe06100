"""What the directives of a snippet ask for, while they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ... import values
from ...features import (
    Addresses,
    Answer,
    Feature,
    Field,
    NoAccessLog,
    PathEdit,
    Redirect,
    Refusals,
    RequestHeaders,
    ResponseHeaders,
)
from ...losses import Cause


@dataclass(slots=True)
class Draft:
    """A snippet, while it is read.

    Attributes:
        cause: where it is written.
        of_server: whether it is about the whole host.
        expressible: whether RE2 can say an expression.
        requests: fields that backends get, by name in lower case.
        requests_computed: the same with an expression.
        requests_removed: names of fields that they do not get.
        answers: fields that clients get, by name in lower case.
        answers_computed: the same with an expression.
        answers_added: fields beside those of their names.
        answers_hidden: names of fields that they do not get.
        content_type: of an answer.
        answer: in place of a backend.
        redirect: of every request.
        edit: of the path.
        refusals: conditions that refuse a request.
        access: `allow` and `deny` with their blocks, in their order.
        quiet: no lines in the access log.
        differences: what is not as it was.
    """

    cause: Cause
    of_server: bool
    expressible: Callable[[str], bool]
    requests: dict[str, Field] = field(default_factory=dict)
    requests_computed: dict[str, Field] = field(default_factory=dict)
    requests_removed: list[str] = field(default_factory=list)
    answers: dict[str, Field] = field(default_factory=dict)
    answers_computed: dict[str, Field] = field(default_factory=dict)
    answers_added: list[Field] = field(default_factory=list)
    answers_hidden: list[str] = field(default_factory=list)
    content_type: str = "text/plain"
    answer: tuple[int, str] | None = None
    redirect: tuple[int, str] | None = None
    edit: tuple[str, str] | None = None
    refusals: list[str] = field(default_factory=list)
    access: list[tuple[str, str]] = field(default_factory=list)
    quiet: bool = False
    differences: dict[str, None] = field(default_factory=dict)

    def differs(self, message: str) -> None:
        """Note what is not as it was."""
        self.differences[message] = None

    def addresses(self) -> Addresses | None:
        """Who may by its address; None: nothing is said of that, or no two lists say it."""
        blocks = [values.network(block) for _, block in self.access if block != "all"]
        if None in blocks or not self.access:
            return None
        networks = tuple(dict.fromkeys(block for block in blocks if block is not None))
        order = [(action, block == "all") for action, block in self.access]
        if order[-1] == ("deny", True) and set(order[:-1]) == {("allow", False)}:
            return Addresses(causes=(self.cause,), allowed=networks)
        if set(order) == {("deny", False)} or (order[-1] == ("allow", True) and set(order[:-1]) == {("deny", False)}):
            return Addresses(causes=(self.cause,), denied=networks)
        return None

    def features(self) -> Iterator[Feature]:
        """Make features of all that was read."""
        causes = (self.cause,)
        if self.requests or self.requests_computed or self.requests_removed:
            yield RequestHeaders(
                causes=causes,
                fields=tuple(self.requests.values()),
                computed=tuple(self.requests_computed.values()),
                removed=tuple(self.requests_removed),
            )
        if self.answers or self.answers_computed or self.answers_added or self.answers_hidden:
            yield ResponseHeaders(
                causes=causes,
                fields=tuple(self.answers.values()),
                computed=tuple(self.answers_computed.values()),
                added=tuple(self.answers_added),
                hidden=tuple(self.answers_hidden),
            )
        if self.redirect is not None:
            yield Redirect(causes=causes, status=self.redirect[0], url=self.redirect[1])
        elif self.answer is not None:
            status, body = self.answer
            yield Answer(causes=causes, status=status, body=body, content_type=self.content_type)
        if self.edit is not None:
            yield PathEdit(causes=causes, kind="Pattern", find=self.edit[0], replacement=self.edit[1])
        if self.refusals:
            yield Refusals(causes=causes, conditions=tuple(self.refusals))
        addresses = self.addresses()
        if addresses is not None:
            yield addresses
        if self.quiet:
            yield NoAccessLog(causes=causes)
