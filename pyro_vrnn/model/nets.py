"""Feed-forward nets: the phi of the paper, and the trunks of prior, guide and emission."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Half-width of the uniform distribution that weights are drawn from (released code of Chung et al. 2015).
WEIGHT_RANGE = 0.08


def linear(a: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """:math:`W a + b`, ``(*B, T, I)`` to ``(*B, T, O)``, in the layout of ``a``.

    A loop over time leaves its steps outermost in memory (:func:`~pyro_vrnn.model.state.steps_outermost`); the
    library's function would copy that to and fro.
    """
    if a.ndim > 2 and not a.is_contiguous():
        steps = a.movedim(-2, 0)
        if steps.is_contiguous():
            return F.linear(steps, weight, bias).movedim(0, -2)
    return F.linear(a, weight, bias)


class Affine(nn.Module):
    r"""A linear map of several inputs, :math:`\sum_i W_i a_i + b`, with one weight for each input.

    It equals one linear layer over the concatenation. Kept apart, the share of an input that is known for all time
    steps (the features of x) is one matrix product over the sequence instead of one a step.

    Args:
        inputs: Widths of the inputs. An input of width 0 has no weight and is ignored.
        outputs: Width of the output.
        bias: Whether b exists.
    """

    def __init__(self, inputs: Sequence[int], outputs: int, *, bias: bool = True) -> None:
        super().__init__()
        self.inputs, self.outputs = tuple(inputs), outputs
        self.weights = nn.ParameterList(nn.Parameter(torch.empty(outputs, width)) for width in self.inputs if width)
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        for weight in self.weights:
            nn.init.uniform_(weight, -WEIGHT_RANGE, WEIGHT_RANGE)

    def first(self, a: Tensor) -> Tensor:
        """The share of the first input, with the bias: ``(*B, inputs[0])`` to ``(*B, outputs)``."""
        return linear(a, self.weights[0], self.bias)

    def rest(self, first: Tensor, *others: Tensor) -> Tensor:
        """Adds the shares of the other inputs to what :meth:`first` returned; leading dimensions broadcast."""
        read = [a for a, width in zip(others, self.inputs[1:], strict=True) if width]
        for a, weight in zip(read, list(self.weights)[1:], strict=True):
            first = first + linear(a, weight)
        return first

    def forward(self, *inputs: Tensor) -> Tensor:
        """Maps tensors of shapes ``(*B, inputs[i])`` to ``(*B, outputs)``."""
        read = [a for a, width in zip(inputs, self.inputs, strict=True) if width]
        total = linear(read[0], self.weights[0], self.bias)
        for a, weight in zip(read[1:], list(self.weights)[1:], strict=True):
            total = total + linear(a, weight)
        return total


class MLP(nn.Module):
    """A ReLU network of several inputs.

    Args:
        inputs: Widths of the inputs.
        hidden: Widths of the hidden layers, each followed by a ReLU; may be empty if ``outputs`` is given.
        outputs: Width of a last linear layer; None ends with the last hidden layer's ReLU (the features phi).
    """

    def __init__(self, inputs: Sequence[int], hidden: Sequence[int], outputs: int | None = None) -> None:
        super().__init__()
        widths = [*hidden, *([] if outputs is None else [outputs])]
        self.outputs = widths[-1]
        self.read = Affine(inputs, widths[0])
        layers: list[nn.Module] = []
        for narrow, wide in pairwise(widths):
            layers += [nn.ReLU(), Affine((narrow,), wide)]
        if outputs is None:
            layers.append(nn.ReLU())
        self.deep = nn.Sequential(*layers)

    def first(self, a: Tensor) -> Tensor:
        """The share of the first input in the first layer, known before the loop over time."""
        return self.read.first(a)

    def rest(self, first: Tensor, *others: Tensor) -> Tensor:
        """Completes what :meth:`first` began."""
        return self.deep(self.read.rest(first, *others))

    def forward(self, *inputs: Tensor) -> Tensor:
        """Maps tensors of shapes ``(*B, inputs[i])`` to ``(*B, outputs)``."""
        return self.deep(self.read(*inputs))

    @property
    def last_bias(self) -> Tensor:
        """The bias of the last layer, where a density's parameters start from."""
        last = [module for module in (self.read, *self.deep) if isinstance(module, Affine)][-1]
        assert last.bias is not None
        return last.bias


class Identity(nn.Module):
    """The feature map that changes nothing: phi(a) = a.

    Args:
        width: Width of its input and output.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.outputs = width

    def forward(self, a: Tensor) -> Tensor:
        """Returns ``a``."""
        return a


def orthogonal_blocks(weight: Tensor) -> None:
    """Starts a recurrent weight ``(n H, H)`` as n orthogonal blocks, one a gate (released code)."""
    for block in weight.data.split(weight.shape[1]):
        nn.init.orthogonal_(block)


def start_lstm(rnn: nn.LSTM) -> None:
    """Starts a library LSTM as the released code starts its own: uniform input, orthogonal recurrent blocks, bias 0."""
    for name, parameter in rnn.named_parameters():
        if name.startswith("weight_hh"):
            orthogonal_blocks(parameter)
        elif name.startswith("weight_ih"):
            nn.init.uniform_(parameter, -WEIGHT_RANGE, WEIGHT_RANGE)
        else:
            nn.init.zeros_(parameter)
