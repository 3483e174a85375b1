"""A loop of two carries, its gradients, and what they are operation by operation."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch import Tensor, nn

from pyro_vrnn.scan import capture, scan

B, D = 3, 4


class Net(nn.Module):
    """h_t = tanh(A h_{t-1} + x_t), c_t = c_{t-1} / 2 + B h_t, of which each step makes h_t c_t."""

    def __init__(self, device: str = "cpu") -> None:
        super().__init__()
        self.a, self.b = (nn.Linear(D, D, device=device) for _ in range(2))

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
        def step(carry: tuple[Tensor, ...], row: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
            h = torch.tanh(self.a(carry[0]) + row[0])
            c = carry[1] / 2 + self.b(h)
            return (h, c), (h * c,)

        last, before, made = scan(step, (h, c), (x,), owner=self)
        return (*last, *before, *made)


@contextmanager
def unrecorded() -> Iterator[None]:
    with patch.object(capture, "enabled", False):
        yield


def inputs(steps: int = 9, device: str = "cpu") -> tuple[Tensor, Tensor, Tensor]:
    shapes = ((B, steps, D), (B, D), (B, D))
    x, h, c = (torch.randn(shape, device=device, requires_grad=True) for shape in shapes)
    return x, h, c


def weights(outs: tuple[Tensor, ...]) -> list[Tensor]:
    """A number for every number, so that each output has another gradient."""
    return [torch.linspace(-1, 2, out.numel()).to(out).view(out.shape) for out in outs]


def loss_of(outs: tuple[Tensor, ...], of: tuple[int, ...] = (0, 1, 2, 3, 4)) -> Tensor:
    chosen = [outs[i] for i in of]
    return sum((out.square() * weight).sum() for out, weight in zip(chosen, weights(tuple(chosen)), strict=True))


def gradients(net: Net, given: tuple[Tensor, ...], of: tuple[int, ...] = (0, 1, 2, 3, 4)) -> list[Tensor]:
    return list(torch.autograd.grad(loss_of(net(*given), of), [*given, *net.parameters()]))


def by_operations(net: Net, given: tuple[Tensor, ...], of: tuple[int, ...] = (0, 1, 2, 3, 4)) -> list[Tensor]:
    with unrecorded():
        return gradients(net, given, of)


def warm(net: Net, steps: int = 9, device: str = "cpu") -> None:
    """As many loops as run before one is recorded."""
    for _ in range(capture.EAGER):
        gradients(net, inputs(steps, device))
