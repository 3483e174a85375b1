"""Parts of one's own, for ``--guide my_parts:LookaheadGuide``."""

import torch

from pyro_vrnn.model.densities import DiagonalGaussian
from pyro_vrnn.model.guides import Guide
from pyro_vrnn.model.nets import MLP


class LookaheadGuide(Guide):
    r"""Approximate posterior :math:`q(z_t \mid x_t, x_{t+1}, h_{t-1})`."""

    reads_prior = False  # forward never calls prior()

    def __init__(self, dims, hidden):
        super().__init__()
        self.head = DiagonalGaussian(dims.z)
        self.net = MLP((2 * dims.phi_x, dims.h), hidden, self.head.inputs)
        self.head.start(self.net.last_bias)

    def prepare(self, features_x, mask, h=None, memory=None):
        frames = features_x * mask.unsqueeze(-1)  # phi_x of padding is not 0
        first = frames[..., :1, :]
        after = torch.zeros_like(first) if memory is None else memory  # the first frame of the piece that follows
        following = torch.cat([frames[..., 1:, :], after], -2)
        return self.net.first(torch.cat([features_x, following], -1)), first

    def forward(self, prepared, state, prior):
        return self.head(self.net.rest(prepared, state.h))
