"""The models of the paper as public PyTorch code writes them: what ours is compared to."""

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pyro_vrnn.model.sizes import Sizes
from pyro_vrnn.model.variants import ModelOptions, resolve, row

#: Components of the paper's mixtures.
COMPONENTS = 20
_FLOOR = 1e-4

#: -log p(x | what the decoder gave), ``(B, X)`` and ``(B, outputs)`` to ``(B,)``.
NegativeLog = Callable[[Tensor, Tensor], Tensor]


def plain_peer(options: ModelOptions, x: int) -> nn.Module | None:
    """A model of the same sizes, whose ``forward(x, mask)`` is the negative bound, summed.

    Args:
        options: Of ours.
        x: Values in a frame.

    Returns:
        The peer; None for STORN, SRNN and parts that are not the paper's, where there is no public code to follow.

    Raises:
        ConfigurationError: If the options have no meaning.
    """
    variant, size = row(options), resolve(options, x)
    known: dict[str, tuple[int, NegativeLog]] = {
        "gaussian": (2 * x, _gaussian),
        "gmm": (COMPONENTS * (2 * x + 1), _mixture),
        "pen-gauss": (6, partial(_strokes, components=1)),
        "pen": (6 * COMPONENTS + 1, partial(_strokes, components=COMPONENTS)),
    }
    emission = known.get(variant.emission)
    if emission is None or options.recurrence != "lstm":
        return None
    if variant.prior is None:
        return PlainRNN(size, x, *emission)
    if variant.prior in ("standard", "conditional") and variant.guide == "filtering" and variant.h_reads_z:
        return PlainVRNN(size, x, *emission, conditional=variant.prior == "conditional")
    return None


class PlainVRNN(nn.Module):
    """VRNN or VRNN-I: every net called at every step, ``nn.LSTMCell``, densities by hand.

    Args:
        size: Units, layers and widths.
        x: Values in a frame.
        outputs: Numbers that the decoder gives.
        negative_log: Makes -log p(x_t | .) of them.
        conditional: Whether the prior reads h; else it is the standard normal.
    """

    def __init__(self, size: Sizes, x: int, outputs: int, negative_log: NegativeLog, *, conditional: bool) -> None:
        super().__init__()
        h, z, widths = size.h, size.z, size.widths
        self.size, self.negative_log = size, negative_log
        self.phi_x = _net(x, widths.phi_x, size.depth)
        self.phi_z = _net(z, widths.phi_z, size.depth)
        self.prior = _net(h, widths.prior, size.depth, 2 * z) if conditional else None
        self.encoder = _net(widths.phi_x + h, widths.guide, size.depth, 2 * z)
        self.decoder = _net(widths.phi_z + h, widths.emission, size.depth, outputs)
        below = [widths.phi_x + widths.phi_z, *[h] * (size.layers - 1)]
        self.cells = nn.ModuleList(nn.LSTMCell(inputs, h) for inputs in below)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """The negative bound of frames ``(B, T, X)``, summed over those of the mask ``(B, T)``, in nats."""
        states = [(x.new_zeros(len(x), self.size.h),) * 2 for _ in self.cells]
        total = x.new_zeros(())
        for t in range(x.shape[1]):
            h = states[-1][0]
            phi_x = self.phi_x(x[:, t])
            mu, sigma = _mean_and_sigma(self.encoder(torch.cat([phi_x, h], -1)))
            if self.prior is None:
                mu_0, sigma_0 = torch.zeros_like(mu), torch.ones_like(sigma)
            else:
                mu_0, sigma_0 = _mean_and_sigma(self.prior(h))
            phi_z = self.phi_z(mu + sigma * torch.randn_like(mu))
            nll = self.negative_log(x[:, t], self.decoder(torch.cat([phi_z, h], -1)))
            ratio = (sigma / sigma_0).square()
            kl = 0.5 * (ratio + ((mu - mu_0) / sigma_0).square() - 1 - ratio.log()).sum(-1)
            total = total + ((kl + nll) * mask[:, t]).sum()
            read = torch.cat([phi_x, phi_z], -1)
            for layer, cell in enumerate(self.cells):
                states[layer] = cell(read, states[layer])
                read = states[layer][0]
        return total


class PlainRNN(nn.Module):
    """RNN-Gauss or RNN-GMM: one call of ``nn.LSTM``, as nothing is drawn. Arguments as of :class:`PlainVRNN`."""

    def __init__(self, size: Sizes, x: int, outputs: int, negative_log: NegativeLog) -> None:
        super().__init__()
        self.negative_log = negative_log
        self.phi_x = _net(x, size.widths.phi_x, size.depth)
        self.decoder = _net(size.h, size.widths.emission, size.depth, outputs)
        self.rnn = nn.LSTM(size.widths.phi_x, size.h, size.layers, batch_first=True)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """The negative log-likelihood of frames ``(B, T, X)``, summed over those of the mask ``(B, T)``, in nats."""
        after, _ = self.rnn(self.phi_x(x))
        before = F.pad(after[:, :-1], (0, 0, 1, 0))
        return (self.negative_log(x, self.decoder(before)) * mask).sum()


def _net(inputs: int, width: int, depth: int, outputs: int | None = None) -> nn.Sequential:
    layers: list[nn.Module] = []
    for narrow, wide in pairwise([inputs, *[width] * depth]):
        layers += [nn.Linear(narrow, wide), nn.ReLU()]
    if outputs is not None:
        layers.append(nn.Linear(width, outputs))
    return nn.Sequential(*layers)


def _mean_and_sigma(a: Tensor) -> tuple[Tensor, Tensor]:
    mu, rho = a.chunk(2, -1)
    return mu, F.softplus(rho) + _FLOOR


def _gaussian(x: Tensor, a: Tensor) -> Tensor:
    return _negative_log_normal(x, *_mean_and_sigma(a))


def _mixture(x: Tensor, a: Tensor) -> Tensor:
    logits, rest = a.split([COMPONENTS, a.shape[-1] - COMPONENTS], -1)
    mu, sigma = (part.unflatten(-1, (COMPONENTS, x.shape[-1])) for part in _mean_and_sigma(rest))
    return -torch.logsumexp(logits.log_softmax(-1) - _negative_log_normal(x.unsqueeze(-2), mu, sigma), -1)


def _strokes(x: Tensor, a: Tensor, components: int) -> Tensor:
    K = components
    pen, logits, mu, rho, sigma = a.split([1, K if K > 1 else 0, 2 * K, K, 2 * K], -1)
    mu, sigma = mu.unflatten(-1, (K, 2)), F.softplus(sigma.unflatten(-1, (K, 2))) + _FLOOR
    u, v = ((x[..., None, :2] - mu) / sigma).unbind(-1)
    rho = 0.999 * torch.tanh(rho)
    square = (u.square() + v.square() - 2 * rho * u * v) / (1 - rho.square())
    log_n = -0.5 * square - sigma.log().sum(-1) - 0.5 * (1 - rho.square()).log() - math.log(2 * math.pi)
    log_n = log_n + (logits.log_softmax(-1) if K > 1 else 0.0)
    lifted = F.binary_cross_entropy_with_logits(pen.squeeze(-1), x[..., 2], reduction="none")
    return lifted - torch.logsumexp(log_n, -1)


def _negative_log_normal(x: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    return (0.5 * ((x - mu) / sigma).square() + sigma.log() + 0.5 * math.log(2 * math.pi)).sum(-1)
