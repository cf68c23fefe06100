"""What a Gateway has in a cluster, written by the leader (`apply`) and told in `events`; `pods` says what cannot start.

What is wanted is planned by `translate.infrastructure`, which is pure.
"""
