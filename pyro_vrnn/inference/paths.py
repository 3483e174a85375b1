"""What the latents do along a sequence: how far their means move at each step, and how much they carry."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.inference.encode import Silence
from pyro_vrnn.inference.estimators import evaluating
from pyro_vrnn.inference.noise import Noise
from pyro_vrnn.inference.pieces import Frames, Pieces, chunks
from pyro_vrnn.model.densities import PerStep, draw
from pyro_vrnn.model.network import VRNN

#: Draws whose mean is taken, where a density has no mean of its own or a divergence depends on the draw.
DRAWS = 32

Array = NDArray[np.float64]


class LatentPath(NamedTuple):
    r"""Of one sequence of T frames.

    Attributes:
        moved: :math:`\delta_t = \sum_j (\mu_{z,t}^j - \mu_{z,t-1}^j)^2` (Chung et al. 2015, Fig. 2), ``(T,)``; NaN at
            the first step.
        kl: KL(q || p) of each step in nats, the mean over draws of the latents before it, ``(T,)``.
        kl_of_dimensions: The same of each latent dimension, ``(T, Z)``; None where the families have no such form.
        drawn: Draws whose mean is :math:`\mu_{z,t}`; None where it is the path of the guide's own means.
    """

    moved: Array
    kl: Array
    kl_of_dimensions: Array | None
    drawn: int | None


@torch.no_grad()
def latent_path(net: VRNN, x: Frames, *, draws: int = DRAWS, seed: int = 0) -> LatentPath:
    """Follows the guide along a sequence.

    The path of means is that of :func:`~pyro_vrnn.inference.encode.encode`: each given those before it. A guide whose
    family has no mean in closed form (a flow) has none, and the mean of draws stands for it.

    Args:
        net: The parts.
        x: Frames, ``(1, T, X)``, standardised, of any length.
        draws: Of the whole path.
        seed: Of the draws, which leave the caller's random state alone.

    Raises:
        ConfigurationError: If the model has no latents.
    """
    if not net.has_latents:
        raise ConfigurationError("this model has no latents; choose one that has, such as vrnn-gauss")
    mask = torch.ones(x.shape[:2], dtype=torch.bool)
    T, Z = x.shape[1], net.dims.z
    z, kl = np.zeros((T, Z)), np.zeros(T)
    by_dimension: Array | None = np.zeros((T, Z))
    has_mean = True
    with evaluating(net, seed):
        pieces = Pieces(net, x, mask)
        for particles in chunks(mask, draws):
            for piece, drawn, rollout in pieces.infer(particles, Noise(seed, [0])):
                where = slice(piece.steps.start, piece.steps.stop)
                has_mean = has_mean and _has_mean(rollout.q)
                z[where] += _sum(drawn) / draws
                kl[where] += _sum(rollout.kl_or_sampled(drawn)) / draws
                if by_dimension is not None:
                    try:
                        by_dimension[where] += _sum(rollout.kl_of_dimensions) / draws
                    except NotImplementedError:
                        by_dimension = None
        if has_mean:
            z = np.concatenate([_sum(means[None]) for _, means, _ in pieces.infer(noise=Silence(seed, [0]))])
    moved = np.concatenate([[np.nan], np.square(np.diff(z, axis=0)).sum(-1)])
    return LatentPath(moved, kl, by_dimension, None if has_mean else draws)


def _has_mean(q: Any) -> bool:
    """Whether noise of 0 gives a density's mean: not of a flow, through which it gives some other value."""
    step = q.steps[0] if isinstance(q, PerStep) else q
    try:
        step.mean  # noqa: B018 (whether there is one)
    except NotImplementedError:
        return False
    return draw.dispatch(type(step)) is not draw.dispatch(object)


def _sum(values: Tensor) -> Array:
    """Over draws, of the only sequence, in double precision."""
    return np.asarray(values.double().sum(0)[0].numpy(force=True))
