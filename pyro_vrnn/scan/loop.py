"""The loop itself: by the modules, or by the plan of a step that was recorded."""

import warnings
from collections.abc import Hashable, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from . import capture
from .plan import Plan
from .recording import CannotRecordError, Step, watch
from .recording import record as recorded
from .running import Tensors

#: Recordings of the same shapes that did not hold, after which the modules run.
PATIENCE = 3
#: Steps below which a recording does not pay.
SHORTEST = 4

# A plan's operations are those below autograd already; asking again costs 5 % of them.
_below_autograd: Any = getattr(torch._C, "_AutoDispatchBelowAutograd", nullcontext)


class Scanned(NamedTuple):
    """What a loop gave.

    Attributes:
        last: The carry after the last step, each ``(*B, D)``.
        before: The carry before each step, each ``(*B, T, D)``.
        made: What the steps made, each ``(*B, T, D)``.
    """

    last: Tensors
    before: Tensors
    made: Tensors


class _Known:
    """What is known of a loop of one owner and one set of shapes."""

    def __init__(self) -> None:
        self.recordings = 0
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
) -> "Scanned":
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

    """
    steps = rows[0].shape[-2]
    by_step = [row.unbind(-2) for row in rows]
    if record and torch.is_grad_enabled() and steps >= SHORTEST:
        plan = _plan(step, first, [row[0] for row in by_step], owner, (key, *map(_kind, (*first, *rows))))
        if plan is not None:
            results, n = _Planned.apply(plan, *first, *rows, *plan.outside), len(first)
            return Scanned(results[:n], results[n : 2 * n], results[2 * n :])
    carry, carries, made = tuple(first), [], []
    for row in zip(*by_step, strict=True):
        carries.append(carry)
        carry, items = step(carry, row)
        made.append(items)
    before, by_kind = (tuple(torch.stack(a, -2) for a in zip(*group, strict=True)) for group in (carries, made))
    return Scanned(carry, before, by_kind)


def _kind(a: Tensor) -> Hashable:
    return a.ndim, a.shape[:-2], a.shape[-1], a.dtype, a.device, a.requires_grad


def _plan(step: Step, first: Sequence[Tensor], row: Sequence[Tensor], owner: Any, key: Hashable) -> Plan | None:
    """The plan of a step, where there is one and it still holds; the modules are run once to see."""
    modes = (torch.is_autocast_enabled(first[0].device.type), torch.get_autocast_dtype(first[0].device.type))
    known = _known.setdefault(owner, {}).setdefault((key, modes), _Known())
    if known.recordings > PATIENCE:
        return None
    devices = [first[0].device] if first[0].device.type == "cuda" else []
    # What is drawn while looking is drawn again by the loop.
    try:
        with torch.random.fork_rng(devices):
            if known.plan is not None and not _holds(known.plan, step, first, row):
                known.plan = None
            if known.plan is None:
                known.recordings += 1
                known.plan = Plan(*recorded(step, first, row))
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
    outside, seen = watch(step, first, row)
    same = len(outside) == len(plan.outside) and all(a is b for a, b in zip(outside, plan.outside, strict=True))
    return same and seen == plan.seen


class _Planned(torch.autograd.Function):
    """The whole loop as one node of the graph."""

    @staticmethod
    def forward(ctx: Any, plan: Plan, *tensors: Tensor) -> Tensors:
        """The carry after the last step, the carries before each, and what the steps made."""
        ctx.set_materialize_grads(False)
        width, inner = plan.width, plan.width + len(plan.rows)
        first, rows, outside = tensors[:width], tensors[width:inner], tensors[inner:]
        ctx.save_for_backward(*outside)
        with torch.autocast(first[0].device.type, enabled=False), _below_autograd():  # casts were recorded
            ctx.run = capture.run(plan, first, [row.movedim(-2, 0) for row in rows], outside)
        ctx.width, ctx.device = width, first[0].device.type
        last, before, made = ctx.run.results()
        return (*last, *(a.movedim(0, -2) for a in (*before, *made)))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *given: Tensor | None) -> tuple[Any, ...]:
        """Gradients of the first carry, the rows and the outside tensors."""
        if ctx.run is None:
            raise RuntimeError("the loop was run backward before; the first backward pass must say retain_graph=True")
        outside = ctx.saved_tensors  # may compute them anew, above autograd
        before, made = ([None if g is None else g.movedim(-2, 0) for g in group] for group in _split(given, ctx.width))
        with torch.autocast(ctx.device, enabled=False), _below_autograd():
            found = ctx.run.backward(outside, given[: ctx.width], before, made)
        if not torch._C._autograd._get_current_graph_task_keep_graph():
            ctx.run = None  # frees what it kept while the loss may live on, and its recording for the next loop
        rows = [None if g is None else g.movedim(0, -2) for g in found.rows]
        return (None, *found.first, *rows, *found.outside)


def _split(given: Sequence[Any], width: int) -> tuple[Sequence[Any], Sequence[Any]]:
    return given[width : 2 * width], given[2 * width :]
