"""A loop over time with the gradients of its weights computed once a sequence.

:func:`~pyro_vrnn.scan.loop.scan` runs a step T times. Where it pays back, the step is recorded once, forward and
backward, as the operations that it is made of (:mod:`~pyro_vrnn.scan.recording`), and the loop repeats those
(:mod:`~pyro_vrnn.scan.plan`) as one node of autograd's graph: inside the loop go data gradients alone, and each
weight's gradient is one matrix product over all steps. The room knows tensors and nothing else.
"""

from .loop import scan

__all__ = ["scan"]
