"""`sluicegate controller`: the control plane of a cluster.

It watches, translates, provisions data planes, serves them their configuration and writes status. It serves no traffic.
"""
