"""Loops whose whole forward and whole backward pass are each one launch, where a device can record them.

A loop of small operations on a GPU waits for the CPU to launch them. Recorded as a CUDA graph
(:mod:`~pyro_vrnn.scan.cuda`) a pass is one launch. It then reads and writes fixed memory: what it reads is copied
there, parameters are read where they are, and what it gives is copied out, so that no later launch writes to what
somebody still holds. The backward pass reads what the forward pass left in that memory, so it is lent to one loop at a
time; a loop that comes while it is lent runs operation by operation.

Lengths are rounded up to buckets (:func:`~pyro_vrnn.scan.captured.bucket`). The further steps see the last row again,
values that the step is known to take, and nothing reads what they give: the last carry is read, and its gradient
enters, where the sequence ends, and the gradients that enter the further steps are zero. That holds for finite values:
a carry that grows without bound and overflows within those steps makes gradients nan.

Memory: each recorded loop keeps what its backward pass needs, as much as one running loop does, for as long as it is
kept; :data:`KEPT` bounds their number.
"""

import warnings
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from itertools import count
from typing import Any, Protocol
from weakref import WeakKeyDictionary, WeakSet, ref

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from . import cuda, running
from .captured import Captured, Given, Results, bucket
from .cuda import Made, Recorder
from .plan import Plan
from .running import Gradients, Ran, Tensors

#: Whether loops are recorded where they can be.
enabled = True
#: Loops of the same plan, shapes and bucket that run operation by operation before one is recorded.
EAGER = 2
#: Recorded loops that are kept, in all: those of the lengths between T and 4 T.
KEPT = 16


class Run(Protocol):
    """A loop that was run forward, for as long as it may be run backward."""

    def results(self) -> Results:
        """What it gave."""

    def taken(self) -> Sequence[Tensor]:
        """What its backward pass needs, no longer kept here: to be given back with it."""

    def backward(self, outside: Tensors, taken: Tensors, last: Given, before: Given, made: Given) -> Gradients:
        """Runs it backward; other arguments as in :func:`~pyro_vrnn.scan.running.backward`."""


def run(plan: Plan, first: Sequence[Tensor], rows: Sequence[Tensor], outside: Sequence[Tensor]) -> Run:
    """Runs a loop forward; arguments as in :func:`~pyro_vrnn.scan.running.forward`."""
    recorder = cuda.recorder(first[0].device) if enabled and plan not in _refused else None
    if recorder is not None:
        seen = _seen_before(plan, recorder, first, rows, outside)
        if not seen.is_lent and seen.times > EAGER:
            return _Lent(plan, recorder, seen, first, rows, outside)
    return _Eager(plan, first, rows, outside)


class _Eager:
    """A loop that ran operation by operation."""

    def __init__(self, plan: Plan, first: Sequence[Tensor], rows: Sequence[Tensor], outside: Sequence[Tensor]) -> None:
        self._plan = plan
        self._kept, self._form = pytree.tree_flatten(running.forward(plan, first, rows, outside))

    def results(self) -> Results:
        ran = self._ran(self._kept)
        last = tuple(carried[-1].clone() for carried in ran.carries)
        return Results(last, ran.before, tuple(ran.kept[i] for i in self._plan.made))

    def taken(self) -> Sequence[Tensor]:
        kept, self._kept = self._kept, []
        return kept

    def backward(self, outside: Tensors, taken: Tensors, last: Given, before: Given, made: Given) -> Gradients:
        return running.backward(self._plan, self._ran(taken), outside, last, before, made)

    def _ran(self, kept: Sequence[Tensor]) -> Ran:
        return pytree.tree_unflatten(kept, self._form)


class _Seen:
    """What was seen of loops of one plan, shapes and bucket.

    Attributes:
        times: Loops so far.
        last: When the last one came.
        loop: The recorded loop.
        lent_to: Who has it; nobody once that is gone.
    """

    def __init__(self) -> None:
        self.times, self.last = 0, 0
        self.loop: Captured | None = None
        self.lent_to: Callable[[], Any] = lambda: None

    @property
    def is_lent(self) -> bool:
        """Whether somebody may still run it backward."""
        return self.lent_to() is not None


class _Lent:
    """A recorded loop, lent for as long as this lives."""

    def __init__(
        self,
        plan: Plan,
        recorder: Recorder,
        seen: _Seen,
        first: Sequence[Tensor],
        rows: Sequence[Tensor],
        outside: Sequence[Tensor],
    ) -> None:
        self._plan, self._recorder, self._steps = plan, recorder, rows[0].shape[0]
        if seen.loop is None:
            _keep(KEPT - 1)
            seen.loop = Captured(plan, self._record, first, rows, outside)
        self._loop = seen.loop
        seen.lent_to = ref(self)
        if plan in _refused:
            seen.loop = None
        self._loop.forward(first, rows)

    def results(self) -> Results:
        return self._loop.results(self._steps)

    def taken(self) -> Sequence[Tensor]:
        return ()

    def backward(self, outside: Tensors, taken: Tensors, last: Given, before: Given, made: Given) -> Gradients:
        return self._loop.backward(self._record, self._steps, last, before, made)

    def _record(self, work: Callable[[], Made]) -> Callable[[], Made]:
        """Records a pass, or leaves it as it is where that cannot be."""
        if self._plan in _refused:
            return work
        try:
            return self._recorder(work)
        except RuntimeError as error:
            _refuse(self._plan, error)
            return work


_seen: WeakKeyDictionary[Plan, dict[Hashable, _Seen]] = WeakKeyDictionary()
_refused: WeakSet[Plan] = WeakSet()
_clock = count()


def _seen_before(
    plan: Plan, recorder: Recorder, first: Sequence[Tensor], rows: Sequence[Tensor], outside: Sequence[Tensor]
) -> _Seen:
    shapes = tuple((a.shape, a.dtype) for a in (*first, *(row[0] for row in rows)))
    # A parameter is read at its address: one that was given other memory wants another recording.
    products = (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32)
    key = (recorder, shapes, bucket(rows[0].shape[0]), tuple(a.data_ptr() for a in outside), products)
    seen = _seen.setdefault(plan, defaultdict(_Seen))[key]
    seen.times, seen.last = seen.times + 1, next(_clock)
    return seen


def _keep(most: int) -> None:
    """Forgets recorded loops but for those that were used last."""
    recorded = [seen for of in _seen.values() for seen in of.values() if seen.loop is not None]
    recorded.sort(key=lambda seen: seen.last)
    for seen in recorded[: max(0, len(recorded) - most)]:
        seen.loop, seen.times = None, 0


def _refuse(plan: Plan, error: RuntimeError) -> None:
    """Records nothing more of a plan, and forgets all: a recording that broke replaced the generator they count on."""
    _refused.add(plan)
    _keep(0)
    warnings.warn(
        "the loop over time is launched operation by operation, slower than it could be: it cannot be recorded as one"
        f" launch, because {str(error).split(chr(10))[0] or type(error).__name__}",
        stacklevel=2,
    )
