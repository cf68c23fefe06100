"""The control plane: Kubernetes objects in, engine configuration and status out.

The pipeline, one package a stage: `api` (typed objects), `sources` (files, Kubernetes), `store` (what is known now),
`translate` (pure: configuration, status and diagnostics). Nothing behind the store knows where an object came from.
"""

DEFAULT_CONTROLLER_NAME = "sluicegate.dev/controller"
