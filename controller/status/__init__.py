"""What the API has as status, what it should have, and the writing of the difference."""

from .merge import merged_status
from .writer import StatusWriter

__all__ = ["StatusWriter", "merged_status"]
