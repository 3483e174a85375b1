"""A loop that was recorded with the memory that it reads and writes."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from weakref import proxy

import torch
from torch import Tensor

from . import running
from .cuda import Recorder
from .plan import Plan
from .running import Gradients, Ran, Tensors

#: Steps of the shortest bucket.
SHORTEST = 8

#: Gradients of the carries or of what the steps made; None where none come.
Given = Sequence[Tensor | None]


class Results(NamedTuple):
    """What a loop gives.

    Attributes:
        last: The carry after the last step, each ``(*B, D)``.
        before: The carry before each step, each ``(T, *B, D)``.
        made: What the steps made, each ``(T, *B, D)``.
    """

    last: Tensors
    before: Tensors
    made: Tensors


def bucket(steps: int) -> int:
    """The length that a sequence is run at: eight a doubling, so at most 12.5 % more than its own from 8 steps on."""
    apart = max(1, 2 ** (steps.bit_length() - 4)) if steps > SHORTEST else SHORTEST
    return -(-steps // apart) * apart


class Captured:
    """A recorded loop over the steps of a bucket.

    Args:
        plan: The step; it is not kept alive.
        record: Records its passes.
        first: The carry before the first step, each ``(*B, D)``.
        rows: What the steps read, each ``(T, *B, D)``.
        outside: What they read beside those; it is read where it is.
    """

    def __init__(
        self,
        plan: Plan,
        record: Recorder,
        first: Sequence[Tensor],
        rows: Sequence[Tensor],
        outside: Sequence[Tensor],
    ) -> None:
        self._plan: Any = proxy(plan)
        steps = bucket(rows[0].shape[0])
        self._first = [a.new_empty(a.shape) for a in first]
        self._rows = [row.new_empty((steps, *row.shape[1:])) for row in rows]
        self._outside = tuple(a.detach() for a in outside)
        self._back: dict[tuple[Sequence[bool], Sequence[bool]], _Back] = {}
        self._read(first, rows)
        self._forward = record(lambda: running.forward(self._plan, self._first, self._rows, self._outside))

    def forward(self, first: Sequence[Tensor], rows: Sequence[Tensor]) -> None:
        """Runs it, with the shapes that it was recorded with and any length of its bucket."""
        self._read(first, rows)
        self._ran: Ran = self._forward()

    def results(self, steps: int) -> Results:
        """What its last run gave, of as many steps, in memory of their own."""
        ran = self._ran
        return Results(
            tuple(carried[steps].clone() for carried in ran.carries),
            tuple(carried[:steps].clone() for carried in ran.carries),
            tuple(ran.kept[i][:steps].clone() for i in self._plan.made),
        )

    def backward(self, record: Recorder, steps: int, last: Given, before: Given, made: Given) -> Gradients:
        """Runs its last run backward; arguments as in :func:`~pyro_vrnn.scan.running.backward`.

        The gradient of the last carry enters where the sequence ends, before the first of the further steps.
        """
        carries = tuple(a is not None or b is not None for a, b in zip(last, before, strict=True))
        wanted = (carries, tuple(a is not None for a in made))
        if wanted not in self._back:
            self._back[wanted] = self._recorded_back(record, *wanted)
        back = self._back[wanted]
        for into, end, each in zip(back.into, last, before, strict=True):
            if into is not None:
                _put(into[:steps], each)
                _put(into[steps], end)
                into[steps + 1 :].zero_()
        for place, each in zip(back.made, made, strict=True):
            if place is not None:
                _put(place[:steps], each)
                place[steps:].zero_()
        found = back.run()
        return Gradients(
            [None if a is None else a.clone() for a in found.first],
            [None if a is None else a[:steps].clone() for a in found.rows],
            [None if a is None else a.clone() for a in found.outside],
        )

    def _read(self, first: Sequence[Tensor], rows: Sequence[Tensor]) -> None:
        steps = rows[0].shape[0]
        for place, a in zip(self._first, first, strict=True):
            place.copy_(a)
        for place, a in zip(self._rows, rows, strict=True):
            place[:steps].copy_(a)
            place[steps:].copy_(a[-1:].expand_as(place[steps:]))

    def _recorded_back(self, record: Recorder, carries: Sequence[bool], made: Sequence[bool]) -> "_Back":
        ran, plan = self._ran, self._plan
        into = [torch.zeros_like(a) if wanted else None for a, wanted in zip(ran.carries, carries, strict=True)]
        of_made = [torch.zeros_like(ran.kept[i]) if wanted else None for i, wanted in zip(plan.made, made, strict=True)]
        last = [None if a is None else a[-1] for a in into]
        before = [None if a is None else a[:-1] for a in into]
        run = record(lambda: running.backward(plan, ran, self._outside, last, before, of_made))
        return _Back(into, of_made, run)


class _Back(NamedTuple):
    """A recorded backward pass.

    Attributes:
        into: Gradients of the carries before each step and after the last, ``(T + 1, *B, D)``.
        made: Gradients of what the steps made, ``(T, *B, D)``.
        run: Runs it; the next run may write to what it gives.
    """

    into: Given
    made: Given
    run: Callable[[], Gradients]


def _put(place: Tensor, a: Tensor | None) -> None:
    if a is None:
        place.zero_()
    else:
        place.copy_(a)
