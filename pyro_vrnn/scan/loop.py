"""The loop itself: by the modules, or by the plan of a step that was recorded."""

import warnings
from collections.abc import Hashable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .deferred import Stacks, total
from .plan import Plan
from . import recording
from .recording import CannotRecordError, Step

#: Calls of the same shapes that the modules run before the step is recorded: what runs once is not worth it.
WARM_UP = 1
#: Recordings of the same shapes that did not hold, after which the modules run.
PATIENCE = 3
#: Steps below which a recording does not pay.
SHORTEST = 4

Tensors = tuple[Tensor, ...]


class _Known:
    """What is known of a loop of one owner and one set of shapes."""

    def __init__(self) -> None:
        self.calls, self.recordings = 0, 0
        self.plan: Plan | None = None


_known: WeakKeyDictionary[Any, dict[Hashable, _Known]] = WeakKeyDictionary()


def scan(
    step: Step,
    first: Sequence[Tensor],
    rows: Sequence[Tensor],
    *,
    owner: Any,
    key: Hashable = (),
    record: bool = True,
) -> tuple[Tensors, Tensors]:
    """Runs a step over time.

    The step must be a function of what it reads: the same operations at every step, whatever the values. One that is
    not is run as it is.

    Args:
        step: ``step(carry, row)`` gives the carry after it and what it makes, each ``(*B, D)``.
        first: The carry before the first step.
        rows: What the steps read, each ``(*B, T, D)``.
        owner: Whose loop it is: what is recorded lives as long.
        key: Tells apart the loops of one owner.
        record: Whether the step may be recorded.

    Returns:
        The carry after the last step, and what the steps made, each ``(*B, T, D)``.
    """
    steps = rows[0].shape[-2]
    by_step = [row.unbind(-2) for row in rows]
    if record and torch.is_grad_enabled() and steps >= SHORTEST:
        plan = _plan(step, first, [row[0] for row in by_step], owner, (key, *map(_kind, (*first, *rows))))
        if plan is not None:
            results = _Planned.apply(plan, len(first), *first, *rows, *plan.outside)
            return results[: len(first)], results[len(first) :]
    carry, made = tuple(first), []
    for t in range(steps):
        carry, items = step(carry, tuple(row[t] for row in by_step))
        made.append(items)
    return carry, tuple(torch.stack(items, -2) for items in zip(*made, strict=True))


def _kind(a: Tensor) -> Hashable:
    return a.ndim, a.shape[:-2], a.shape[-1], a.dtype, a.device, a.requires_grad


def _plan(step: Step, first: Sequence[Tensor], row: Sequence[Tensor], owner: Any, key: Hashable) -> Plan | None:
    """The plan of a step, where there is one and it still holds; the modules are run once to see."""
    modes = (torch.is_autocast_enabled(first[0].device.type), torch.get_autocast_dtype(first[0].device.type))
    known = _known.setdefault(owner, {}).setdefault((key, modes), _Known())
    known.calls += 1
    if known.calls <= WARM_UP or known.recordings > PATIENCE:
        return None
    devices = [first[0].device] if first[0].device.type == "cuda" else []
    # What is drawn while looking is drawn again by the loop.
    try:
        with torch.random.fork_rng(devices):
            if known.plan is not None and not _holds(known.plan, step, first, row):
                known.plan = None
            if known.plan is None:
                known.recordings += 1
                known.plan = Plan(recording.record(step, first, row))
                if not _holds(known.plan, step, first, row):
                    raise CannotRecordError("it does something else each time")
    except CannotRecordError as error:
        known.recordings = PATIENCE + 1
        known.plan = None
        warnings.warn(
            f"the loop over time runs step by step, slower than it could: the step cannot be recorded, because {error}",
            stacklevel=4,
        )
    return known.plan


def _holds(plan: Plan, step: Step, first: Sequence[Tensor], row: Sequence[Tensor]) -> bool:
    """Whether the modules do what was recorded, with the same constants, on the same outside tensors."""
    seen = recording.record(step, first, row, backward=False)
    outside = [a for a, _ in seen.outside]
    same = len(outside) == len(plan.outside) and all(a is b for a, b in zip(outside, plan.outside, strict=True))
    return same and seen.signature == plan.signature


class _Planned(torch.autograd.Function):
    """The whole loop as one node of the graph."""

    @staticmethod
    def forward(ctx: Any, plan: Plan, width: int, *tensors: Tensor) -> Tensors:  # type: ignore[override]
        """The carry after the last step, then what the steps made, stacked."""
        ctx.set_materialize_grads(False)
        inner = width + plan.rows
        carry, rows, outside = tensors[:width], tensors[width:inner], tensors[inner:]
        ctx.plan, ctx.width, ctx.steps = plan, width, rows[0].shape[-2]
        ctx.save_for_backward(*outside)
        ctx.saved = []
        made = []
        with torch.autocast(carry[0].device.type, enabled=False):  # what it would cast was recorded as cast
            ctx.same = plan.once(*outside)
            for row in zip(*(row.unbind(-2) for row in rows), strict=True):
                results = plan.forward(*carry, *row, *outside, *ctx.same)
                carry = results[:width]
                made.append(results[width : plan.results])
                ctx.saved.append(results[plan.results :])
        stacked = [torch.stack(items, -2) for items in zip(*made, strict=True)]
        # A result that is an input, or another result, is a tensor of its own for autograd.
        return (*(a.clone() for a in carry), *stacked)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *given: Tensor | None) -> tuple[Any, ...]:  # type: ignore[override]
        """Data gradients step by step, from the last to the first; then the outside tensors' from their factors."""
        plan, width, outside = ctx.plan, ctx.width, ctx.saved_tensors
        into: list[Tensor | None] = list(given[:width])
        made = [None if g is None else g.unbind(-2) for g in given[width:]]
        zeros = plan.zeros()
        by_step = []
        for t in reversed(range(ctx.steps)):
            arrived = [*into, *(None if g is None else g[t] for g in made)]
            cotangents = [
                zero if g is None else g
                for g, zero, wanted in zip(arrived, zeros, plan.cotangents, strict=True)
                if wanted
            ]
            values = iter(plan.backward(*ctx.saved[t], *cotangents, *outside, *ctx.same))
            own = [next(values) if has else None for has in plan.has_gradient]
            into = own[:width]
            by_step.append((own[width:], tuple(values)))
        rows = [
            torch.stack(items[::-1], -2) if items[0] is not None else None
            for items in zip(*(own for own, _ in by_step), strict=True)
        ]
        stacks = Stacks(list(zip(*(factors for _, factors in by_step), strict=True)))
        weights = [None if terms is None else total(terms, stacks) for terms in plan.deferred]
        return (None, None, *into, *rows, *weights)
