"""Policies: attached to targets, merged along a hierarchy, named by what they hold for (GEP-713).

registry    the table of kinds; each has a module that judges one policy by itself (`backend_tls`)
attach      targetRefs, and an index of who is attached to what
closed      a policy that cannot be read: all of it refuses
effective   what holds at a place, and where it comes from: one pure function
status      what becomes of a policy: ancestors, conflicts, how much of it is programmed
stage       all of it step by step, at the cost of what changed; `looks` is what a status may look at, `merges` what the
            statuses of one round have in common
"""
