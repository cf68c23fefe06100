"""Proxies side by side on loopback: requests per second, CPU time for each request, p99.

`python -m benches.proxy --help`. Each proxy has one thread pinned to one core, backend and load share another; rounds
are interleaved, so that a noisy neighbour meets all of them alike, and what counts are the ratios of one run.
"""
