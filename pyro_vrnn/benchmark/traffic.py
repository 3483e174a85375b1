"""The weights that a training step of a composition must read at every step of its loop over time."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from pyro_vrnn.benchmark.floor import ROWS, countable, countable_frames, prepared, quiet
from pyro_vrnn.model.densities import draw
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.state import State


def loop_weights(net: VRNN) -> int:
    """Numbers in the weights that a loop over time must read anew at each step, forward and backward alike.

    A product has to wait for its step where what it reads depends on the step before and what it gives reaches the
    next one. Prior and emission reach no next step, features of x depend on none, and phi_z leaves the loop where the
    guide sees no state: all of these can be computed for every step at once.

    Args:
        net: The parts; left as they are.
    """
    net = countable(net).requires_grad_(False)
    with quiet(), _Products(net) as products:
        x, mask = countable_frames(net, 1)
        features_x, first = net.phi_x(x), net.initial_state((ROWS,))
        driven = net.recurrence.prepare(features_x)[:, 0]
        known = None if net.recurrence.reads_z else [first]
        read = prepared(net, features_x, mask, known)[:, 0]
        h, z, *memory = (a.clone().requires_grad_() for a in (first.h, first.z, *first.memory))
        past = State(h, z, tuple(memory))
        if known is None:
            drawn = _infer(net, read, past)
            after = net.advance(driven, drawn, net.features_z(drawn), past)
            products.follow(drawn, after.h, *after.memory)
        else:  # two loops: one of h, which reads no z, and one of z, to which every h is given
            after = net.advance(driven, z, h.new_zeros((ROWS, net.dims.phi_z)), past)
            products.follow(after.h, *after.memory)
            products.follow(_infer(net, read, State(first.h, z)))
    return sum(products.waiting.values()) + sum(map(_recurrent, net.modules()))


def traffic_seconds(held: int, frames: int, bytes_per_second: float) -> float:
    """Seconds to read weights of so many bytes once forward and once backward at each step."""
    return 2 * frames * held / bytes_per_second


def _infer(net: VRNN, read: Tensor, past: State) -> Tensor:
    """z_t drawn from the guide."""
    prior = net.prior
    if prior is None or net.guide is None:
        return past.z
    return draw(net.guide(read, past, lambda: prior(past)), None)


def _recurrent(module: nn.Module) -> int:
    """Recurrent weights of one of the library's recurrences, which reads sequences whole."""
    if not isinstance(module, nn.RNNBase):
        return 0
    return sum(p.numel() for name, p in module.named_parameters(recurse=False) if name.startswith("weight_hh"))


class _Products(TorchFunctionMode):
    """Finds the products of a parameter with what depends on the past that reach the next step.

    Args:
        net: Whose parameters, none of which asks for a gradient.
    """

    MATRIX = frozenset(
        {F.linear, torch.mm, torch.matmul, torch.bmm, torch.addmm, torch.baddbmm, torch.einsum}
        | {Tensor.mm, Tensor.matmul, Tensor.__matmul__, Tensor.__rmatmul__, Tensor.bmm}
    )

    def __init__(self, net: VRNN) -> None:
        super().__init__()
        self.storages = {parameter.untyped_storage().data_ptr() for parameter in net.parameters()}
        #: Numbers in each weight that has to wait, by address.
        self.waiting: dict[int, int] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if func in self.MATRIX and out.requires_grad:
            for a in (*args, *kwargs.values()):
                if isinstance(a, Tensor) and a.ndim > 1 and a.untyped_storage().data_ptr() in self.storages:
                    out.register_hook(lambda gradient, a=a: self.waiting.update({a.data_ptr(): a.numel()}))
        return out

    def follow(self, *after: Tensor) -> None:
        """Goes back from what the next step reads."""
        reached = [a.sum() for a in after if a.requires_grad]
        if reached:
            torch.stack(reached).sum().backward()
