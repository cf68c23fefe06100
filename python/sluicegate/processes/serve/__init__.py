"""`sluicegate serve PATH...`: manifests in, traffic out, without a cluster."""

from .files import serve

__all__ = ["serve"]
