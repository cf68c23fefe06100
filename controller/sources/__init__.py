"""Where objects come from: files, and the Kubernetes API.

Both send the events of `store`; nothing behind it tells them apart.
"""
