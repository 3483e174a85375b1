"""The loop itself: by the modules, or by the plan of a step that was recorded."""

import warnings
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .deferred import Stacks, total
from .plan import Plan
from .recording import CannotRecordError, Step, watch
from .recording import record as recorded

#: Calls of the same shapes that the modules run before the step is recorded: what runs once is not worth it.
WARM_UP = 1
#: Recordings of the same shapes that did not hold, after which the modules run.
PATIENCE = 3
#: Steps below which a recording does not pay.
SHORTEST = 4

Tensors = tuple[Tensor, ...]


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
    def forward(ctx: Any, plan: Plan, *tensors: Tensor) -> Tensors:  # type: ignore[override]
        """The carry after the last step, the carries before each, and what the steps made."""
        ctx.set_materialize_grads(False)
        width, inner = plan.width, plan.width + len(plan.rows)
        first, rows, outside = tensors[:width], tensors[width:inner], tensors[inner:]
        steps = rows[0].shape[-2]
        carries = _kept(plan.kept[:width], steps + 1)
        for carried, a in zip(carries, first, strict=True):
            carried[0] = a
        others = _kept(plan.kept[width:], steps)
        places = [a.unbind(0) for a in (*(carried[1:] for carried in carries), *others)]
        carry: Sequence[Tensor] = [carried[0] for carried in carries]
        ctx.saved = []
        with torch.autocast(first[0].device.type, enabled=False):  # what it would cast was recorded as cast
            ctx.same = plan.once(*outside)
            for t, row in enumerate(zip(*(row.unbind(-2) for row in rows), strict=True)):
                results = plan.forward(*(place[t] for place in places), *carry, *row, *outside, *ctx.same)
                carry = results[:width]
                ctx.saved.append(results[width:])
        kept = [*(carried[1:] for carried in carries), *others]
        ctx.plan, ctx.steps, ctx.kept, ctx.before = plan, steps, kept, [carried[:-1] for carried in carries]
        ctx.save_for_backward(*outside)
        in_time = [a.movedim(0, -2) for a in (*ctx.before, *(kept[i] for i in plan.made))]
        return (*(carried[-1].clone() for carried in carries), *in_time)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *given: Tensor | None) -> tuple[Any, ...]:  # type: ignore[override]
        """Data gradients step by step, from the last to the first; then the outside tensors' from their factors."""
        plan, width, outside = ctx.plan, ctx.plan.width, ctx.saved_tensors
        into: list[Tensor | None] = list(given[:width])
        arrived = [None if g is None else g.unbind(-2) for g in given[width:]]
        before, made = arrived[:width], arrived[width:]
        zeros = plan.zeros()
        kept = _kept(plan.kept_back, ctx.steps)
        places = [a.unbind(0) for a in kept]
        for t in reversed(range(ctx.steps)):
            results = [*into, *(None if g is None else g[t] for g in made)]
            cotangents = [
                zero if g is None else g
                for g, zero, wanted in zip(results, zeros, plan.cotangents, strict=True)
                if wanted
            ]
            saved = ctx.saved[t]
            own = iter(plan.backward(*(place[t] for place in places), *saved, *cotangents, *outside, *ctx.same))
            into = [next(own) if has else None for has in plan.has_gradient]
            into = [_sum(g, None if of is None else of[t]) for g, of in zip(into, before, strict=True)]
        where = {"before": ctx.before, "forward": ctx.kept, "backward": kept}
        stacks = Stacks([where[name][i] for name, i in plan.factors])
        rows = [None if i is None else kept[i].movedim(0, -2) for i in plan.rows]
        weights = [None if terms is None else total(terms, stacks) for terms in plan.deferred]
        return (None, *into, *rows, *weights)


def _kept(facts: Sequence[dict[str, Any]], steps: int) -> list[Tensor]:
    """Room for values of all steps, the steps outermost: what a step reads and writes is in one piece."""
    return [torch.empty((steps, *of["shape"]), dtype=of["dtype"], device=of["device"]) for of in facts]


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    if a is None or b is None:
        return a if b is None else b
    return a + b
