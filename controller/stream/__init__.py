"""The config stream: from the controller to its data planes, each gets what is its own and says what became of it.

    Translation -> projection (what each data plane may see) -> session (the difference to what a pod has) -> gRPC
    pod: client -> holdings (what it has) -> engine -> report -> gRPC -> reports (of all pods) -> status

The exchange is delta xDS (`AggregatedDiscoveryService.DeltaAggregatedResources`) with the IR's resources; see
`protocol` for what is ours in it and `docs/config-stream.md` for who may connect. A data plane needs `protocol` and
`messages` of it, which import nothing of the control plane; its own end is the package `sluicegate.dataplane`.
"""
