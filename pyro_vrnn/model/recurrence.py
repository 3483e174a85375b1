"""Recurrences h_t = f(phi_x(x_t), phi_z(z_t), h_{t-1})."""

from typing import Any

import torch
from torch import Tensor, nn

from pyro_vrnn.model.nets import Affine, orthogonal_blocks
from pyro_vrnn.model.precision import full, in_full
from pyro_vrnn.model.state import Dims, State
from pyro_vrnn.scan import scan

#: h_t and the recurrence's private memory after step t.
Next = tuple[Tensor, tuple[Tensor, ...]]


class Recurrence(nn.Module):
    r"""Contract of a recurrence :math:`h_t = f(\phi_x(x_t), \phi_z(z_t), h_{t-1})` (Chung et al. 2015, Eq. 7).

    Args:
        dims: Widths of the model.
        layers: Number of stacked layers; densities read the top one.

    Attributes:
        reads_z: Whether z enters.
        memory_size: Number of tensors ``(*B, H)`` in the private memory.
    """

    memory_size = 0

    def __init__(self, dims: Dims, *, layers: int = 1) -> None:
        super().__init__()
        self.dims, self.layers, self.reads_z = dims, layers, dims.h_reads_z

    @property
    def inputs(self) -> tuple[int, int]:
        """Widths of what a step reads beside the past: phi_x and phi_z (0 if z is not read)."""
        return self.dims.phi_x, self.dims.phi_z if self.reads_z else 0

    def prepare(self, features_x: Tensor) -> Tensor:
        """What the steps will read of phi_x, computed for all of them at once: ``(*B, T, F)`` to ``(*B, T, P)``."""
        return features_x

    def forward(self, prepared: Tensor, features_z: Tensor, state: State) -> Next:
        """One step: h_t ``(*B, H)`` and the memory, from this step's row of :meth:`prepare` and phi_z(z_t)."""
        raise NotImplementedError

    def over_time(self, features_x: Tensor, features_z: Tensor, state: State) -> tuple[Tensor, Next]:
        """All steps at once, where every phi_z(z_t) is known.

        Args:
            features_x: ``(*B, T, F)``, or without the leading particle axes.
            features_z: ``(*B, T, G)``.
            state: The state before the first step.

        Returns:
            h_1..h_T, ``(*B, T, H)``, and what the last step returned.
        """

        def step(carry: tuple[Tensor, ...], row: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
            h, memory = self(row[0], row[1], State(carry[0], state.z, carry[1:]))
            return (h, *memory), (h,)

        rows = (self.prepare(features_x), features_z)
        (last_h, *memory), _, (h,) = scan(step, (state.h, *state.memory), rows, owner=self)
        return h, (last_h, tuple(memory))


class Linear(Recurrence):
    r""":math:`h_t = A h_{t-1} + B \phi_x(x_t) + C \phi_z(z_t)`: with linear-Gaussian parts the oracle of the tests.

    Args:
        dims: Widths of the model.
        layers: Must be 1.
    """

    def __init__(self, dims: Dims, *, layers: int = 1) -> None:
        super().__init__(dims, layers=layers)
        assert layers == 1, "a stack of linear layers is one linear layer"
        self.read = Affine((*self.inputs, dims.h), dims.h, bias=False)

    def prepare(self, features_x: Tensor) -> Tensor:
        """B phi_x(x_t) for all t."""
        return full(self.read.first(features_x))

    def forward(self, prepared: Tensor, features_z: Tensor, state: State) -> Next:
        """Adds C phi_z(z_t) and A h_{t-1}."""
        return self.read.rest(prepared, features_z, state.h), ()


class Stacked(Recurrence):
    """What LSTM and GRU share: layers of gates, each reading the layer below and its own past."""

    cells: Any  # a ModuleList, whose items torch types as Module or Tensor

    def __init__(self, dims: Dims, *, layers: int = 1) -> None:
        super().__init__(dims, layers=layers)
        above = [(dims.h,)] * (layers - 1)
        self.cells = nn.ModuleList(self.cell(inputs) for inputs in [self.inputs, *above])

    def cell(self, inputs: tuple[int, ...]) -> nn.Module:
        """One layer's gates, reading ``inputs`` and its own past."""
        raise NotImplementedError

    def prepare(self, features_x: Tensor) -> Tensor:
        """The share of phi_x(x_t) in the first layer's gates, with their bias, for all t."""
        return full(self.cells[0].read.first(features_x))


class LSTM(Stacked):
    """Long short-term memory without peepholes; its cells are private: only h conditions the nets (released code).

    The memory holds every layer's c, then the lower layers' h.
    """

    @property
    def memory_size(self) -> int:  # type: ignore[override]
        """c of every layer, h of all but the top one."""
        return 2 * self.layers - 1

    def cell(self, inputs: tuple[int, ...]) -> nn.Module:
        """One layer: its gates i, f, g, o."""
        return LSTMCell(inputs, self.dims.h)

    def forward(self, prepared: Tensor, features_z: Tensor, state: State) -> Next:
        """One step of every layer."""
        cs, hs = state.memory[: self.layers], (*state.memory[self.layers :], state.h)
        new_h: list[Tensor] = []
        new_c: list[Tensor] = []
        for i, (cell, h, c) in enumerate(zip(self.cells, hs, cs, strict=True)):
            first, others = (prepared, (features_z,)) if i == 0 else (full(cell.read.first(new_h[-1])), ())
            for made, item in zip((new_h, new_c), cell(first, others, h, c), strict=True):
                made.append(item)
        return new_h[-1], (*new_c, *new_h[:-1])

    def over_time(self, features_x: Tensor, features_z: Tensor, state: State) -> tuple[Tensor, Next]:
        """One call of the library's LSTM (oneDNN, cuDNN)."""
        cs, hs = state.memory[: self.layers], (*state.memory[self.layers :], state.h)
        x, batch_shape = _flat_inputs(features_x, features_z if self.reads_z else None, state.h)
        hx = tuple(torch.stack([s.reshape(-1, self.dims.h) for s in group]) for group in (hs, cs))
        weights = [w for cell in self.cells for w in cell.library_weights()]
        with in_full(x):
            out, h_n, c_n = torch.lstm(x, hx, weights, True, self.layers, 0.0, self.training, False, True)
        last_h, last_c = (s.reshape(self.layers, *batch_shape, -1).unbind(0) for s in (h_n, c_n))
        return out.reshape(*batch_shape, *out.shape[-2:]), (last_h[-1], (*last_c, *last_h[:-1]))


class LSTMCell(nn.Module):
    r"""One layer: :math:`c_t = f \odot c_{t-1} + i \odot g,\; h_t = o \odot \tanh c_t`.

    Args:
        inputs: Widths of what it reads beside its own past.
        units: H.
    """

    def __init__(self, inputs: tuple[int, ...], units: int) -> None:
        super().__init__()
        self.read = Affine((*inputs, units), 4 * units)
        orthogonal_blocks(self.read.weights[-1])

    def forward(self, first: Tensor, others: tuple[Tensor, ...], h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """h_t and c_t from the first input's share of the gates, the other inputs and the layer's past."""
        i, f, g, o = self.read.rest(first, *others, h).chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c

    def library_weights(self) -> list[Tensor]:
        """Input weight, recurrent weight and the two biases as torch.lstm wants them."""
        *read, recurrent = self.read.weights
        assert self.read.bias is not None
        return [torch.cat(list(read), -1), recurrent, self.read.bias, torch.zeros_like(self.read.bias)]


class GRU(Stacked):
    """Gated recurrent unit, in the library's form (the reset gate acts after the recurrent product).

    The memory holds the lower layers' h.
    """

    @property
    def memory_size(self) -> int:  # type: ignore[override]
        """h of all layers but the top one."""
        return self.layers - 1

    def cell(self, inputs: tuple[int, ...]) -> nn.Module:
        """One layer: its gates r, u, n."""
        return GRUCell(inputs, self.dims.h)

    def forward(self, prepared: Tensor, features_z: Tensor, state: State) -> Next:
        """One step of every layer."""
        new_h: list[Tensor] = []
        for i, (cell, h) in enumerate(zip(self.cells, (*state.memory, state.h), strict=True)):
            read = cell.read.rest(prepared, features_z) if i == 0 else full(cell.read.first(new_h[-1]))
            new_h.append(cell(read, h))
        return new_h[-1], tuple(new_h[:-1])

    def over_time(self, features_x: Tensor, features_z: Tensor, state: State) -> tuple[Tensor, Next]:
        """One call of the library's GRU (oneDNN, cuDNN)."""
        x, batch_shape = _flat_inputs(features_x, features_z if self.reads_z else None, state.h)
        hx = torch.stack([s.reshape(-1, self.dims.h) for s in (*state.memory, state.h)])
        weights = [w for cell in self.cells for w in cell.library_weights()]
        with in_full(x):
            out, h_n = torch.gru(x, hx, weights, True, self.layers, 0.0, self.training, False, True)
        hs = h_n.reshape(self.layers, *batch_shape, -1).unbind(0)
        return out.reshape(*batch_shape, *out.shape[-2:]), (hs[-1], tuple(hs[:-1]))


class GRUCell(nn.Module):
    r"""One layer: :math:`h_t = (1 - u) n + u h_{t-1}` with :math:`n = \tanh(a_n + r (W_n h_{t-1} + b_n))`.

    Args:
        inputs: Widths of what it reads beside its own past.
        units: H.
    """

    def __init__(self, inputs: tuple[int, ...], units: int) -> None:
        super().__init__()
        self.read = Affine(inputs, 3 * units)
        self.recur = Affine((units,), 3 * units)
        orthogonal_blocks(self.recur.weights[0])

    def forward(self, read: Tensor, h: Tensor) -> Tensor:
        """h_t from the inputs' share of the gates and the layer's past."""
        r, u, n = read.chunk(3, -1)
        hr, hu, hn = self.recur(h).chunk(3, -1)
        u = (u + hu).sigmoid()
        n = (n + (r + hr).sigmoid() * hn).tanh()
        return n + u * (h - n)

    def library_weights(self) -> list[Tensor]:
        """Input weight, recurrent weight and the two biases as torch.gru wants them."""
        assert self.read.bias is not None
        assert self.recur.bias is not None
        return [torch.cat(list(self.read.weights), -1), self.recur.weights[0], self.read.bias, self.recur.bias]


def _flat_inputs(features_x: Tensor, features_z: Tensor | None, h: Tensor) -> tuple[Tensor, torch.Size]:
    """What the library reads at every step, with all leading axes as one, and those axes."""
    batch_shape = h.shape[:-1]
    read = [features_x] if features_z is None else [features_x, features_z]
    x = torch.cat([a.expand(*batch_shape, *a.shape[-2:]) for a in read], -1)
    return full(x).reshape(-1, *x.shape[-2:]), batch_shape
