"""Manifests without a server: the library behind `sluicegate.load`, the pytest plugin, and demo backends."""
