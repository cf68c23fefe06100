"""Who writes: one leader at a time, and writes that end with its leadership.

Whatever is written to the API server goes through it.
"""
