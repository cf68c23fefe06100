"""Manifests: files and directories of YAML documents, read as the API server would read them.

`read(paths)` for one look; `Reader` for many, which reads again only what changed.
"""

from .documents import Document
from .reader import Reader, Reading, read
from .settle import Settling

__all__ = ["Document", "Reader", "Reading", "Settling", "read"]
