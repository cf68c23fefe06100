"""Requests that tell two gateways apart, made of what Ingresses say, and the form of their answers.

`plan` makes them (hosts x paths x annotations, with their edges), `exchange` is a request and an answer. They are what
`sluicegate migrate --verify` asks of a model of the source and of the converted table; a test asks a real nginx.
"""

from .exchange import SAMPLE, Answer, Probe, Share
from .plan import MAX_PER_HOST, MAX_PROBES, plan

__all__ = ["MAX_PER_HOST", "MAX_PROBES", "SAMPLE", "Answer", "Probe", "Share", "plan"]
