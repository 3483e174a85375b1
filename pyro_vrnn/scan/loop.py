"""The loop itself: by the modules, or by the plan of a step that was recorded."""

import warnings
from collections.abc import Hashable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from . import capture
from .effects import CannotRecordError, casts, no_autocast
from .plan import Plan
from .recording import Step, watch
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
) -> Scanned:
    """Runs a step over time.

    The step must be a function of what it reads: the same operations at every step, whatever the values. One that is
    not is run as it is.

    Args:
        step: ``step(carry, row)`` gives the carry after it and what it makes, each ``(*B, D)``. The carry is cast to
            the types of the first one, which autocast would change.
        first: The carry before the first step.
        rows: What the steps read, each ``(*B, T, D)``.
        owner: Whose loop it is: what is recorded lives as long.
        key: Tells apart the loops of one owner.
        record: Whether the step may be recorded.
    """
    step, steps = _of_one_type(step), rows[0].shape[-2]
    by_step = [row.unbind(-2) for row in rows]
    if record and steps >= SHORTEST and torch.is_grad_enabled() and not torch._C._are_functorch_transforms_active():
        plan = _plan(step, first, [row[0] for row in by_step], owner, key)
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


def _of_one_type(step: Step) -> Step:
    def cast(carry: Tensors, row: Tensors) -> tuple[Tensors, Tensors]:
        after, made = step(carry, row)
        return tuple(a.to(b.dtype) for a, b in zip(after, carry, strict=True)), made

    return cast


def _kind(a: Tensor) -> Hashable:
    return a.shape, a.dtype, a.device, a.requires_grad


def _plan(step: Step, first: Sequence[Tensor], row: Sequence[Tensor], owner: Any, key: Hashable) -> Plan | None:
    """The plan of a step, where there is one and it still holds; the modules are run once to see."""
    known = _known.setdefault(owner, {}).setdefault(
        (key, casts(first[0].device.type), *map(_kind, (*first, *row))), _Known()
    )
    if known.recordings > PATIENCE:
        return None
    devices = [first[0].device] if first[0].device.type == "cuda" else []
    # What is drawn while looking is drawn again by the loop.
    try:
        with torch.random.fork_rng(devices), _kept_as_they_are():
            if known.plan is not None and not _holds(known.plan, step, first, row):
                known.plan = None
            if known.plan is None:
                if known.recordings == PATIENCE:
                    raise CannotRecordError(f"it did something else {PATIENCE} times")
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
        with no_autocast(first[0].device.type), _below_autograd():
            ctx.run = capture.run(plan, first, [row.movedim(-2, 0) for row in rows], outside)
        last, before, made = ctx.run.results()
        # Kept as autograd keeps tensors: freed by the backward pass, dropped by activation checkpointing.
        ctx.save_for_backward(*outside, *ctx.run.taken())
        ctx.width, ctx.outside, ctx.device = width, len(outside), first[0].device.type
        return (*last, *(a.movedim(0, -2) for a in (*before, *made)))

    @staticmethod
    def backward(ctx: Any, *given: Tensor | None) -> tuple[Any, ...]:
        """Gradients of the first carry, the rows and the outside tensors."""
        if torch.is_grad_enabled():
            raise RuntimeError(
                "a recorded loop has no second derivatives; leave out create_graph, or pass record=False"
            )
        saved = ctx.saved_tensors  # may compute them anew, above autograd
        if ctx.run is None:
            raise RuntimeError("the loop was run backward before; the first backward pass must say retain_graph=True")
        before, made = ([None if g is None else g.movedim(-2, 0) for g in group] for group in _split(given, ctx.width))
        with no_autocast(ctx.device), _below_autograd():
            outside, taken = saved[: ctx.outside], saved[ctx.outside :]
            found = ctx.run.backward(outside, taken, given[: ctx.width], before, made)
        if not torch._C._autograd._get_current_graph_task_keep_graph():
            ctx.run = None  # what is recorded is lent to the next loop, while the loss may live on
        rows = [None if g is None else g.movedim(0, -2) for g in found.rows]
        return (None, *found.first, *rows, *found.outside)


def _kept_as_they_are() -> AbstractContextManager[Any]:
    """Hooks on saved tensors (activation checkpointing) are for the loop, not for a look at its step."""
    return torch.autograd.graph.saved_tensors_hooks(torch.Tensor.detach, lambda a: a)


def _split(given: Sequence[Any], width: int) -> tuple[Sequence[Any], Sequence[Any]]:
    return given[width : 2 * width], given[2 * width :]
