"""Instructions that the native library runs for a unit of work, as a gate: `make bench-instructions`.

Time on a shared machine says nothing of one per cent; the number of instructions is the same from run to run to a few
in ten thousand. Callgrind counts them: it needs no privileges, and no counters of the processor, which virtual machines
seldom have. Only what is run inside the native library counts: neither the interpreter nor the C library, whose
functions depend on the machine.
"""
