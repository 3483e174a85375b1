"""The markov program: the paper line by line, a Pyro site for every step.

It is the specification that the tests hold :mod:`~pyro_vrnn.model.sequence` to, and the program for conditioning single
steps, for free-running generation and for inference of one's own.
"""

from functools import partial

import pyro
import torch
from pyro import poutine
from torch import Tensor

from pyro_vrnn.model.program import Program
from pyro_vrnn.model.state import Past


class Model(Program):
    r"""Generative model: sites ``z_{t}`` with event ``(Z,)`` and ``x_{t}`` with event ``(X,)``, :math:`t = 0..T-1`.

    Args:
        net: The parts.
    """

    def forward(self, x: Tensor | None = None, mask: Tensor | None = None, past: Past | None = None) -> Tensor:
        """Runs the generative model over a batch of sequences.

        Args:
            x: Frames, ``(B, T, X)``; None lets the model run freely, each x_t fed back as it was drawn.
            mask: True for frames, False for padding, ``(B, T)``; None for whole sequences. Needed without x.
            past: What they go on from where they are segments of longer ones; None for their beginning. What the next
                segment goes on from is then left in ``after``.

        Returns:
            The frames, ``(*K, B, T, X)``, observed or drawn.

        Raises:
            ValueError: If both are missing or their shapes disagree.
        """
        net, mask = self.parts, self.frames_of(x, mask)
        frames = []
        with pyro.plate("sequences", mask.shape[0], dim=-1):
            state = net.initial_state(mask.shape[:1]) if past is None else past.state
            for t in pyro.markov(range(mask.shape[1])):
                with poutine.mask(mask=mask[:, t]):
                    z_t = state.z if net.prior is None else pyro.sample(f"z_{t}", net.prior(state))  # (5)
                    features_z = net.features_z(z_t)
                    observed = None if x is None else x[:, t]
                    x_t = pyro.sample(f"x_{t}", net.emit(features_z, state), obs=observed)  # (6)
                driven = net.recurrence.prepare(net.phi_x(x_t))
                state = net.advance(driven, z_t, features_z, state)  # (7)
                frames.append(x_t)
        self.after = None if past is None else Past(state).detach()
        return torch.stack(frames, -2)


class Guide(Program):
    r"""Approximate posterior: sites ``z_{t}`` from :math:`q(z_t \mid x, z_{<t})`.

    Args:
        net: The parts.
    """

    def forward(self, x: Tensor, mask: Tensor | None = None, past: Past | None = None) -> None:
        """Draws the latents of a batch of sequences; arguments as in :class:`Model`."""
        net, mask = self.parts, self.frames_of(x, mask)
        with pyro.plate("sequences", mask.shape[0], dim=-1):
            if net.guide is None or net.prior is None:
                return
            state, memory = Past(net.initial_state(mask.shape[:1])) if past is None else past
            features_x = net.phi_x(x)
            ran = net.ran_without_z(features_x, state)
            memory = None if net.guide.reads_future else memory
            prepared, memory = net.guide.prepare(features_x, mask, None if ran is None else ran[0], memory)
            driven = net.recurrence.prepare(features_x)
            for t in pyro.markov(range(mask.shape[1])):
                with poutine.mask(mask=mask[:, t]):
                    prior = partial(net.prior, state)
                    z_t = pyro.sample(f"z_{t}", net.guide(prepared[..., t, :], state, prior))  # (9)
                state = net.advance(driven[..., t, :], z_t, net.features_z(z_t), state)  # (7)
        self.after = None if past is None else Past(state, None if net.guide.reads_future else memory).detach()
