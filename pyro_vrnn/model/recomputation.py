"""A call of which nothing is kept but what goes in and comes out: the backward pass runs it again."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils import _pytree as pytree

_TENSOR = object()


def recomputed(function: Callable[..., Any], module: nn.Module, *arguments: Any) -> Any:
    """``function(*arguments)``, whose intermediate values live until it returns, and once more in the backward pass.

    The graph holds one node for the call. What is kept between the passes is what the node was given, so that the
    memory of a long computation that is cut into calls is that of one of them; ``torch.utils.checkpoint`` drops what is
    saved for the backward pass tensor by tensor, and cannot reach what a function of one's own keeps otherwise, as the
    loop over time does. Both passes begin with the same random state, under the same autocast, and draw the same.

    A gradient with respect to a few of the inputs costs as much as that of all. A hook of a parameter
    (``Tensor.register_hook``) is called for each call's share of the gradient, and for their sum.

    Args:
        function: Of tensors, in nested tuples, and None; it must read no other tensor that requires gradients than
            arguments and the module's parameters.
        module: Whose parameters it reads.
        arguments: Of the function.

    Returns:
        What the function returns, in the same form.

    Raises:
        RuntimeError: In the backward pass, if the module has other parameters than before.
    """
    call = _Call(function, module, arguments)
    results = _Recomputed.apply(call, *call.tensors, *_trained(module))
    return call.shaped(results)


class _Call:
    """A function, with the form of its arguments and results and the surroundings it is called in."""

    def __init__(self, function: Callable[..., Any], module: nn.Module, arguments: Sequence[Any]) -> None:
        self.function, self.module = function, module
        leaves, self.form = pytree.tree_flatten(tuple(arguments))
        self.tensors = [a for a in leaves if isinstance(a, Tensor)]
        self.leaves = [_TENSOR if isinstance(a, Tensor) else a for a in leaves]
        self.device = next(module.parameters()).device
        kind = self.device.type
        self.autocast = (torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind))
        self.random = _random_states(self.device)

    def run(self, tensors: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Copies of the tensors without a past, and what the function makes of them."""
        copies = [a.detach().requires_grad_(a.requires_grad) for a in tensors]
        given = iter(copies)
        leaves = [next(given) if a is _TENSOR else a for a in self.leaves]
        with torch.enable_grad():
            out = self.function(*pytree.tree_unflatten(leaves, self.form))
        made, self.out_form = pytree.tree_flatten(out)
        self.out_leaves = [_TENSOR if isinstance(a, Tensor) else a for a in made]
        return copies, [a for a in made if isinstance(a, Tensor)]

    def shaped(self, tensors: Sequence[Tensor]) -> Any:
        """Tensors in the form of the function's results."""
        given = iter(tensors)
        return pytree.tree_unflatten([next(given) if a is _TENSOR else a for a in self.out_leaves], self.out_form)

    @contextmanager
    def surroundings(self) -> Iterator[None]:
        """Those that it was first called in; the caller's come back."""
        devices = [self.device] if self.device.type == "cuda" else []
        enabled, dtype = self.autocast
        with torch.random.fork_rng(devices), torch.autocast(self.device.type, dtype=dtype, enabled=enabled):
            torch.set_rng_state(self.random[0])
            if devices:
                torch.cuda.set_rng_state(self.random[1], self.device)
            yield


class _Recomputed(torch.autograd.Function):
    """The call as one node."""

    @staticmethod
    def forward(ctx: Any, call: _Call, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Runs it as the backward pass will, gradients enabled, so that both give the same numbers."""
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors)
        _, made = call.run(call.tensors)
        ctx.call, ctx.inputs = call, len(call.tensors)
        del call.tensors  # saved; here they would outlive the backward pass
        results = tuple(_alone(a.detach()) for a in made)
        ctx.mark_non_differentiable(*(r for r, a in zip(results, made, strict=True) if not a.requires_grad))
        return results

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        """Runs it again, and back."""
        call, tensors = ctx.call, ctx.saved_tensors
        inputs, parameters = tensors[: ctx.inputs], tensors[ctx.inputs :]
        now = _trained(call.module)
        if len(now) != len(parameters) or any(a is not b for a, b in zip(now, parameters, strict=True)):
            raise RuntimeError(
                "parameters were replaced between forward and backward pass, which runs the forward pass again; "
                "set checkpoint_every = 0, or replace them around both"
            )
        with call.surroundings():
            copies, made = call.run(inputs)
            # Never empty: without a gradient for a result this node is not run.
            pairs = [(a, g) for a, g in zip(made, gradients, strict=True) if g is not None and a.requires_grad]
            wanted = [a for a in (*copies, *parameters) if a.requires_grad]
            outputs, given = ([pair[i] for pair in pairs] for i in (0, 1))
            found = iter(torch.autograd.grad(outputs, wanted, given, allow_unused=True))
        return (None, *(next(found) if a.requires_grad else None for a in (*copies, *parameters)))


def _trained(module: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def _alone(a: Tensor) -> Tensor:
    """A tensor that keeps nothing else alive, as a view of the last step would all steps."""
    return a.clone() if a.untyped_storage().nbytes() > a.nbytes else a


def _random_states(device: torch.device) -> list[Tensor]:
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states
