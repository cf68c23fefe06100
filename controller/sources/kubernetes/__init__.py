"""The Kubernetes API as the controller uses it: configuration and requests by the official client, watches.

Needs the extra `sluicegate[kubernetes]`. Nothing behind the store knows that objects came from here.
"""
