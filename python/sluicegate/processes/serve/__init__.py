"""`sluicegate serve PATH...`: manifests in, traffic out, without a cluster."""

from .server import serve

__all__ = ["serve"]
