"""Proxies side by side on loopback, shape by shape: CPU time for each unit of work, memory, p99.

`python -m benches.proxy --help`. Each proxy has one thread pinned to one core, backends and load have the others;
rounds are interleaved, so that a noisy neighbour meets all of them alike, and what counts are the ratios of one run.
Backends and load may be slower than a proxy: then it is not at its most, but its CPU time for each unit is still told.
`shapes` has what is measured and the bars, `peers` the proxies, `backends`, `load` and `datagrams` what is around them,
`verdict` (pure) and `report` what is made of it.
"""
