"""Running a plan: the loop forward, the loop backward, and what waits for its end."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .deferred import Stacks, total
from .plan import Plan

Tensors = tuple[Tensor, ...]


class Ran(NamedTuple):
    """A loop that was run forward.

    Attributes:
        same: What is the same at every step.
        carries: The carry before each step and after the last, each ``(T + 1, *B, D)``.
        kept: What the plan keeps of the forward pass, each ``(T, *B, D)``.
        saved: What the backward pass of each step needs.
    """

    same: Sequence[Tensor]
    carries: Tensors
    kept: Tensors
    saved: list[Sequence[Tensor]]

    @property
    def before(self) -> Tensors:
        """The carry before each step, each ``(T, *B, D)``."""
        return tuple(carried[:-1] for carried in self.carries)


def forward(plan: Plan, first: Sequence[Tensor], rows: Sequence[Tensor], outside: Sequence[Tensor]) -> Ran:
    """Runs the loop.

    Args:
        plan: The step.
        first: The carry before the first step, each ``(*B, D)``.
        rows: What the steps read, each ``(T, *B, D)``.
        outside: What the step reads beside those.
    """
    steps, width = rows[0].shape[0], plan.width
    carries = _room(plan.kept[:width], steps + 1)
    for carried, a in zip(carries, first, strict=True):
        carried[0] = a
    kept = (*(carried[1:] for carried in carries), *_room(plan.kept[width:], steps))
    rows = [row.contiguous() for row in rows]  # as they were when views of them were recorded
    saved: list[Sequence[Tensor]] = []
    same = plan.once(*outside)
    carry: Sequence[Tensor] = [carried[0] for carried in carries]
    for places, row in zip(zip(*map(_steps, kept), strict=True), zip(*map(_steps, rows), strict=True), strict=True):
        saved.append(plan.forward(*places, *carry, *row, *outside, *same))
        carry = places[:width]
    return Ran(same, carries, kept, saved)


class Gradients(NamedTuple):
    """What a loop passes back.

    Attributes:
        first: Gradients of the carry before the first step.
        rows: Gradients of the rows, each ``(T, *B, D)``.
        outside: Gradients of the outside tensors.
    """

    first: list[Tensor | None]
    rows: list[Tensor | None]
    outside: list[Tensor | None]


def backward(
    plan: Plan,
    ran: Ran,
    outside: Sequence[Tensor],
    last: Sequence[Tensor | None],
    before: Sequence[Tensor | None],
    made: Sequence[Tensor | None],
) -> Gradients:
    """Runs the loop backward: data gradients step by step, then the outside tensors' from their factors.

    Args:
        plan: The step.
        ran: The loop that was run.
        outside: What it read from outside.
        last: Gradients of the carry after the last step.
        before: Gradients of the carries before each step, each ``(T, *B, D)``.
        made: Gradients of what the steps made, each ``(T, *B, D)``.
    """
    zeros = plan.zeros()
    kept = _room(plan.kept_back, len(ran.saved))
    into: list[Tensor | None] = [None if g is None else g.contiguous() for g in last]
    before, made = ([None if g is None else g.contiguous() for g in group] for group in (before, made))
    places = list(zip(*map(_steps, kept), strict=True))
    for t in reversed(range(len(ran.saved))):
        arrived = [*into, *(None if g is None else g[t] for g in made)]
        cotangents = [
            zero if g is None else g for g, zero, wanted in zip(arrived, zeros, plan.cotangents, strict=True) if wanted
        ]
        own = iter(plan.backward(*(places[t] if kept else ()), *ran.saved[t], *cotangents, *outside, *ran.same))
        into = [
            _sum(next(own) if has else None, None if g is None else g[t])
            for has, g in zip(plan.has_gradient, before, strict=True)
        ]
    where = {"before": ran.before, "forward": ran.kept, "backward": kept}
    stacks = Stacks([where[name][i] for name, i in plan.factors])
    rows = [None if i is None else kept[i] for i in plan.rows]
    return Gradients(into, rows, [None if terms is None else total(terms, stacks) for terms in plan.deferred])


def _room(facts: Sequence[dict[str, Any]], steps: int) -> Tensors:
    """Room for values of all steps, the steps outermost: what a step reads and writes is in one piece."""
    return tuple(torch.empty((steps, *of["shape"]), dtype=of["dtype"], device=of["device"]) for of in facts)


def _steps(a: Tensor) -> Tensors:
    return a.unbind(0)


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    if a is None or b is None:
        return a if b is None else b
    return a + b
