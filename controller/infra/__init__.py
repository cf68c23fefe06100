"""What a Gateway needs in a cluster: planned purely (`plan`), written by the leader (`apply`), told in `events`.

`plane`, `names`, `parameters`, `service`, `manifests` and `plan` are pure and know only the model: no input, output,
clock or translator. `apply` and `events` talk to the API server; `pods` hears whether what was written starts.
"""
