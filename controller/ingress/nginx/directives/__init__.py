"""Snippets: configuration of nginx in annotations, as far as features say the same.

- `parsing`: a text as directives. `conditions`: what `if` asks. `handlers`: what each directive asks for.
- `draft`: collects that, and makes features of it.
"""

from .draft import Draft
from .handlers import HANDLERS, take
from .parsing import Directive, parse

__all__ = ["HANDLERS", "Directive", "Draft", "parse", "take"]
