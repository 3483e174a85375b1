"""A loop run by its plan and by the modules: what both give, and whether there was a plan."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from pyro_vrnn.scan import loop, scan
from pyro_vrnn.scan.plan import Plan

B, T, D = 3, 6, 4


def plans(owner: Any) -> list[Plan]:
    """The plans that an owner's loops run by."""
    return [known.plan for known in loop._known.get(owner, {}).values() if known.plan is not None]


@contextmanager
def by_the_modules() -> Iterator[None]:
    """Loops inside run step by step, under plain autograd."""
    with patch.object(loop, "SHORTEST", 10**9):
        yield


class Loop(nn.Module):
    """A user's step ``h_t = step(h_{t-1}, x_t)`` over time.

    Args:
        step: From h and x, each ``(*B, D)``, to h, or to h and what is made beside it.
        parts: Modules and parameters that it reads, by name.
    """

    def __init__(self, step: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        self.step = step
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, h: Tensor, x: Tensor, *, record: bool = True) -> tuple[Tensor, ...]:
        """The last h, h before each step and what the steps made."""

        def step(carry: tuple[Tensor, ...], row: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
            after = self.step(self, carry[0], row[0])
            h, *made = after if isinstance(after, tuple) else (after,)
            return (h,), (h, *made)

        (last,), (before,), made = scan(step, (h,), (x,), owner=self, record=record)
        return last, before, *made


def a_batch(*lead: int, steps: int = T, dtype: torch.dtype | None = None) -> tuple[Tensor, Tensor]:
    """h and x, both with gradients."""
    lead = lead or (B,)
    h, x = torch.randn(*lead, D, dtype=dtype), torch.randn(*lead, steps, D, dtype=dtype)
    return h.requires_grad_(), x.requires_grad_()


def outcome(net: nn.Module, *inputs: Tensor, seed: int = 5, **options: Any) -> tuple[list[Tensor], list[Any]]:
    """What a loop gives, and the gradients of a random function of it, of the inputs and the parameters."""
    torch.manual_seed(seed)
    given = [*inputs, *net.parameters()]
    outs = list(net(*inputs, **options))
    return outs, gradients(outs, given)


def gradients(outs: Sequence[Tensor], given: Sequence[Tensor]) -> list[Any]:
    """Gradients of a function that weighs every number by another one; None where there is none."""
    scalar = sum((out * torch.linspace(-1, 2, out.numel()).to(out).view(out.shape)).sum() for out in outs)
    wanted = [a for a in given if a.requires_grad]
    found = iter(torch.autograd.grad(scalar, wanted, allow_unused=True))
    return [next(found) if a.requires_grad else None for a in given]


def assert_same(ours: Any, theirs: Any, rtol: float = 1e-10, atol: float = 1e-12) -> None:
    """Equal but for the order of sums; a gradient that is None equals zeros."""
    for mine, other in zip(_flat(ours), _flat(theirs), strict=True):
        if mine is None or other is None:
            given = mine if other is None else other
            assert given is None or not given.any()
        else:
            assert_close(mine, other, rtol=rtol, atol=atol)


def assert_recorded_equals_modules(net: nn.Module, *inputs: Tensor, **tolerance: float) -> None:
    """The loop runs by a plan, and gives what the modules give, with the same gradients."""
    ours = outcome(net, *inputs)
    assert plans(net), "not recorded"
    assert_same(ours, outcome(net, *inputs, record=False), **tolerance)
    assert_same(ours, outcome(net, *inputs), rtol=0, atol=0)  # the second time by the same plan


class Counted(TorchDispatchMode):
    """How often each operation is computed inside, by its name (``mm``, whatever the overload)."""

    def __init__(self) -> None:
        super().__init__()
        self.times: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.times[func._overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def _flat(a: Any) -> list[Any]:
    return [item for part in a for item in _flat(part)] if isinstance(a, list | tuple) else [a]
