"""Benchmarks: ratios between builds and peers, each measured in one interleaved run."""
