"""How tensors lie in memory is nothing to the loop, though views of them were recorded."""

import pytest
import torch
from torch import Tensor, nn

from pyro_vrnn.scan import scan
from tests.scan.comparing import B, D, T, assert_recorded_equals_modules


def turned(a: Tensor) -> Tensor:
    """The same numbers, laid out in memory the other way round."""
    return a.transpose(0, -1).contiguous().transpose(0, -1)


class Direct(nn.Module):
    """Linear layers over tensors of three dimensions, which view what they read, and its gradient, as matrices.

    Args:
        given: Which of the last carry, the carries before and what is made the result is.
        across: What lies across: nothing, the carry, or the gradient of the carry.
    """

    def __init__(self, given: int, across: str) -> None:
        super().__init__()
        self.given, self.across = given, across
        self.a, self.c = nn.Linear(D, D), nn.Linear(D, D)

    def forward(self, h: Tensor, x: Tensor, *, record: bool = True) -> tuple[Tensor, ...]:
        def step(carry: tuple[Tensor, ...], row: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
            (h,), (x,) = carry, row
            if self.across == "gradient":
                return (self.a(self.c(h.transpose(0, 1)).transpose(0, 1) * self.c(x)),), (self.c(x),)
            after = self.a(self.c(h) * self.c(x))
            return (turned(after) if self.across == "carry" else after,), (self.c(h),)

        (out,) = scan(step, (h,), (x,), owner=self, record=record)[self.given]
        return (out.transpose(0, -1),)  # so that its gradient lies across


@pytest.mark.parametrize("across", ["nothing", "carry", "gradient"])
@pytest.mark.parametrize("given", range(3))
def test_views_of_what_lies_otherwise(given, across):
    h, x = torch.randn(2, B, D, requires_grad=True), torch.randn(2, B, T, D, requires_grad=True)
    net = Direct(given, across)
    assert_recorded_equals_modules(net, h, x)
    other_way = (turned(a.detach()).requires_grad_() for a in (h, x))
    assert_recorded_equals_modules(net, *other_way)
    shared = (a[:1].detach().requires_grad_().expand(a.shape) for a in (h, x))
    assert_recorded_equals_modules(net, *shared)
