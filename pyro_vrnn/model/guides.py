"""Guides q(z_t | x, z_<t): the encoders of the paper and its relatives."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from pyro_vrnn.model.densities import DiagonalGaussian, Head
from pyro_vrnn.model.nets import MLP, start_lstm
from pyro_vrnn.model.precision import full, in_full
from pyro_vrnn.model.state import Dims, State


class Guide(nn.Module):
    r"""Contract of a guide :math:`q(z_t \mid x, z_{<t})`.

    A guide has two moments: :meth:`prepare`, once a sequence and parallel over time, and ``forward``, once a step.
    What it reads it declares, and the programs use it: a guide that reads no state leaves the loop over time. The
    declarations below are the cautious ones; a test perturbs the inputs to check them.

    Attributes:
        reads_state: Whether ``forward`` reads ``state``.
        reads_prior: Whether ``forward`` calls ``prior``.
        reads_future: Whether q(z_t | .) depends on x after step t.
        block: Steps that :meth:`prepare` takes together: a long sequence comes in multiples of them.
    """

    reads_state = True
    reads_prior = True
    reads_future = True
    block = 1

    def prepare(
        self, features_x: Tensor, mask: Tensor, h: Tensor | None = None, memory: Any = None
    ) -> tuple[Tensor, Any]:
        """What the steps will read of x, computed for all of them at once.

        A recording too long for that comes in pieces, without padding: from the first to the last, or where the guide
        reads the future from the last to the first.

        Args:
            features_x: phi_x(x), ``(*B, T, F)``.
            mask: True for frames, False for padding, ``(*B, T)``.
            h: h_0..h_{T-1}, ``(*B, T, H)``, where the recurrence reads no z; else None.
            memory: What the call for the neighbouring piece returned; None for the first call.

        Returns:
            ``(*B, T, P)``: row t is handed to step t; and what the next piece needs of this one, None if nothing.
        """
        return features_x, None

    def forward(self, prepared: Tensor, state: State, prior: Callable[[], Distribution]) -> Distribution:
        """Density of z_t, batch ``(*B,)`` and event ``(Z,)``.

        Args:
            prepared: This step's row of :meth:`prepare`, ``(*B, P)``.
            state: The state of step t - 1.
            prior: Gives p(z_t | .) when called.
        """
        raise NotImplementedError


class FilteringGuide(Guide):
    r"""Approximate posterior :math:`q(z_t \mid x_{\le t}, z_{<t})` (Chung et al. 2015, Eq. 9).

    Args:
        dims: Widths of the model.
        hidden: Widths of the hidden layers of phi_enc.
        head: Builds the density's head from Z.
    """

    reads_prior = False
    reads_future = False

    def __init__(self, dims: Dims, hidden: Sequence[int], head: Callable[[int], Head] = DiagonalGaussian) -> None:
        super().__init__()
        self.head = head(dims.z)
        self.net = MLP((dims.phi_x, dims.h), hidden, self.head.inputs)
        self.head.start(self.net.last_bias)

    def prepare(
        self, features_x: Tensor, mask: Tensor, h: Tensor | None = None, memory: Any = None
    ) -> tuple[Tensor, Any]:
        """The share of phi_x(x_t) in the first layer, for all t."""
        return self.net.first(features_x), None

    def forward(self, prepared: Tensor, state: State, prior: Callable[[], Distribution]) -> Distribution:
        """Density of z_t given phi_x(x_t) and ``state.h``."""
        return self.head(self.net.rest(prepared, state.h))


class IndependentGuide(Guide):
    r"""STORN's guide :math:`q(z_t \mid x_{\le t})`: an LSTM over x, which never sees a latent.

    Chung et al. (2015, Sec. 3) read STORN (Bayer & Osendorfer 2014) as VRNN-I with a guide restricted in this way.

    Args:
        dims: Widths of the model.
        hidden: Widths of the net's hidden layers; the LSTM has as many units as the first.
        head: Builds the density's head from Z.
    """

    reads_state = False
    reads_prior = False
    reads_future = False

    def __init__(self, dims: Dims, hidden: Sequence[int], head: Callable[[int], Head] = DiagonalGaussian) -> None:
        super().__init__()
        units = hidden[0] if hidden else dims.h
        self.head = head(dims.z)
        self.rnn = nn.LSTM(dims.phi_x, units, batch_first=True)
        self.net = MLP((units,), hidden, self.head.inputs)
        self.head.start(self.net.last_bias)
        start_lstm(self.rnn)

    def prepare(
        self, features_x: Tensor, mask: Tensor, h: Tensor | None = None, memory: Any = None
    ) -> tuple[Tensor, Any]:
        """The density's parameters for all t."""
        flat = full(features_x).reshape(-1, *features_x.shape[-2:])
        with in_full(flat):
            forward, memory = self.rnn(flat, memory)
        return self.net(forward).reshape(*features_x.shape[:-1], -1), memory

    def forward(self, prepared: Tensor, state: State, prior: Callable[[], Distribution]) -> Distribution:
        """Density of z_t given x up to t."""
        return self.head(prepared)


class SmoothingGuide(Guide):
    r"""Approximate posterior :math:`q(z_t \mid x_{t:T}, h_{t-1}, z_{t-1})` (SRNN, Fraccaro et al. 2016, Eq. 10).

    A backward LSTM reads :math:`[h_{t-1}, \phi_x(x_t)]`, or :math:`\phi_x(x_t)` alone where h depends on z (as in
    Z-forcing, Goyal et al. 2017); the step then reads h itself.

    Args:
        dims: Widths of the model.
        hidden: Widths of the net's hidden layers; the LSTM has as many units as the first.
        head: Builds the density's head from Z.
    """

    reads_prior = False

    def __init__(self, dims: Dims, hidden: Sequence[int], head: Callable[[int], Head] = DiagonalGaussian) -> None:
        super().__init__()
        units = hidden[0] if hidden else dims.h
        self.head = head(dims.z)
        self.rnn = nn.LSTM(dims.phi_x + (0 if dims.h_reads_z else dims.h), units, batch_first=True)
        self.net = MLP((units, dims.h, dims.z), hidden, self.head.inputs)
        self.head.start(self.net.last_bias)
        start_lstm(self.rnn)

    def prepare(
        self, features_x: Tensor, mask: Tensor, h: Tensor | None = None, memory: Any = None
    ) -> tuple[Tensor, Any]:
        """The share of the backward LSTM's output in the first layer, for all t."""
        if h is not None:
            features_x = torch.cat([features_x, h], -1)
        flat = full(features_x).reshape(-1, *features_x.shape[-2:])
        # Each row is turned about its own end, so that padding is read after the frames and cannot reach them.
        steps = torch.arange(flat.shape[1], device=flat.device)
        lengths = mask.expand(features_x.shape[:-1]).reshape(flat.shape[:2]).sum(-1, keepdim=True)
        turned = torch.where(steps < lengths, lengths - 1 - steps, steps).unsqueeze(-1)
        with in_full(flat):
            backward, memory = self.rnn(flat.gather(1, turned.expand_as(flat)), memory)
        backward = backward.gather(1, turned.expand_as(backward))
        return self.net.first(backward).reshape(*features_x.shape[:-1], -1), memory

    def forward(self, prepared: Tensor, state: State, prior: Callable[[], Distribution]) -> Distribution:
        """Density of z_t given x from t on, ``state.h`` and ``state.z``."""
        return self.head(self.net.rest(prepared, state.h, state.z))


class PriorGuide(Guide):
    """The prior used as a guide: what the model believes before it sees x_t. Its KL is 0; it has no parameters."""

    reads_future = False

    def forward(self, prepared: Tensor, state: State, prior: Callable[[], Distribution]) -> Distribution:
        """The prior's density of z_t."""
        return prior()
