"""`sluicegate gateway`: the data plane of a Gateway in a cluster, kept at what the controller says.

It starts from its snapshot at once, follows the config stream, and serves on whatever happens to the controller. Only
what it needs is imported: no Kubernetes client, no schemas, no translation.
"""
