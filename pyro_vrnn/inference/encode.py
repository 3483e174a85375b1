"""What a model says of every frame: its latents and states, and its log-likelihood, piece by piece."""

from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.inference import likelihood
from pyro_vrnn.inference.estimators import Batch, estimator_for, evaluating
from pyro_vrnn.inference.noise import Noise
from pyro_vrnn.inference.pieces import Frames, Piece, Pieces, parts
from pyro_vrnn.inference.smc import smc_by_step
from pyro_vrnn.model.densities import PerStep, draw
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.rollout import Rollout

Numbers = NDArray[np.floating[Any]]
Item = TypeVar("Item")

#: Of each piece of a batch, ``(B, t)``: nats, effective sample sizes where there are particles, and a pen's share.
_Steps = Iterator[tuple[Piece, Tensor, Tensor | None, Tensor | None]]
_BySteps = Callable[[VRNN, Frames, Tensor, int, Noise], _Steps]


class Encoded(NamedTuple):
    """Successive frames of one sequence as the model represents them.

    Attributes:
        sequence: Its index.
        start: The first of these frames.
        z: Latents, ``(t, Z)``; None without latents.
        z_std: Standard deviations of the guide's densities, ``(t, Z)``, NaN where its family has none in closed form;
            None without latents.
        h: The state after each frame was read, :math:`h_t` of Eq. 7, ``(t, H)``.
    """

    sequence: int
    start: int
    z: Numbers | None
    z_std: Numbers | None
    h: Numbers


class FrameScores(NamedTuple):
    """Log-likelihoods of successive frames of one sequence.

    Attributes:
        sequence: Its index.
        start: The first of these frames.
        ess: Of ``smc``: the effective sample size at each, ``(t,)``; else None.
        pen: The share of the nats that is the log-probability of a pen, ``(t,)``; None where there is none, and of
            ``smc``, where it cannot be told apart.
        nats: ``(t,)``, for standardised data.
    """

    sequence: int
    start: int
    ess: NDArray[np.float64] | None
    pen: NDArray[np.float64] | None
    nats: NDArray[np.float64]


def encode(net: VRNN, batches: Iterable[Batch], *, sampled: bool = False, seed: int = 0) -> Iterator[Encoded]:
    r"""Latents and states of every frame, in memory that does not grow with a sequence.

    Without sampling z is the path of means, :math:`z_t = \mathbb{E}_q[z_t \mid x, z_{<t}]` along the z before it: the
    guide's draws with noise 0, which h then reads too. A flow's draw with noise 0 is not its mean; there z is that
    draw. It is one path, deterministic, and neither the mean over paths nor the most probable one. Where the
    recurrence reads no z, h does not depend on it.

    Args:
        net: The model; without latents its h alone is given.
        batches: ``(x, mask, indices)``, as :func:`~pyro_vrnn.inference.estimators.estimate` takes them.
        sampled: Whether z is drawn from the guide instead, by the noise of a sequence's first particle in scoring.
        seed: Of that noise.

    Yields:
        The frames of one sequence after the other, in the order of the batches; a long one's in pieces.

    Raises:
        ConfigurationError: Without ``sampled``, if the guide's family does not follow given noise
            (:func:`~pyro_vrnn.model.densities.draw`).
    """
    return _each(net, seed, _encoded(net, batches, sampled, seed))


def score_frames(
    net: VRNN, batches: Iterable[Batch], name: str, *, particles: int = 40, seed: int = 0
) -> Iterator[FrameScores]:
    r"""The log-likelihood of every frame, in memory that does not grow with a sequence.

    A sequence's sum is what :func:`~pyro_vrnn.inference.estimators.estimate` gives for the same name, particles and
    seed (its first repetition), and is of that kind. The frame's share:

    ``exact``
        :math:`\log p(x_t \mid x_{<t})`, of models without latents.
    ``smc``
        :math:`\log \hat p(x_t \mid x_{<t})`, the increment of a particle filter.
    ``elbo``, ``elbo_sampled``
        The term of the bound: :math:`\log p(x_t \mid z_{\le t}, x_{<t})` less the KL of step t.

    Args:
        net: The model.
        batches: ``(x, mask, indices)``, as :func:`~pyro_vrnn.inference.estimators.estimate` takes them.
        name: One of the above.
        particles: K of ``smc``.
        seed: Of the noise.

    Yields:
        The frames of one sequence after the other, in the order of the batches; a long one's in pieces.

    Raises:
        ConfigurationError: If the estimator is unknown, has no meaning for the model, or gives single frames none.
    """
    return _each(net, seed, _scored(net, batches, frame_estimator(net, name), particles, seed))


def frame_estimator(net: VRNN, name: str) -> _BySteps:
    """How frames are scored by the estimator of this name.

    Raises:
        ConfigurationError: As :func:`score_frames` says.
    """
    estimator_for(net, name)
    if name not in _BY_FRAME:
        known = ", ".join(other for other in _BY_FRAME if (other == "exact") != net.has_latents)
        reason = _NOT_BY_FRAME.get(name, "it scores whole sequences")
        raise ConfigurationError(f"--estimator {name}: {reason}; frames are scored by {known}")
    return _BY_FRAME[name]


def _exact(net: VRNN, x: Frames, mask: Tensor, particles: int, noise: Noise) -> _Steps:
    return _terms(likelihood.exact_by_step(net, x, mask))


def _elbo(net: VRNN, x: Frames, mask: Tensor, particles: int, noise: Noise) -> _Steps:
    return _terms(likelihood.elbo_by_step(net, x, mask, noise=noise))


def _elbo_sampled(net: VRNN, x: Frames, mask: Tensor, particles: int, noise: Noise) -> _Steps:
    return _terms(likelihood.elbo_by_step(net, x, mask, noise=noise, sampled=True))


def _terms(by_step: likelihood.Terms) -> _Steps:
    return ((piece, nats, None, rollout.log_mass) for piece, nats, rollout in by_step)


def _smc(net: VRNN, x: Frames, mask: Tensor, particles: int, noise: Noise) -> _Steps:
    for piece, filtered in smc_by_step(net, x, mask, particles, noise=noise):
        yield piece, filtered.increments, filtered.ess, None


_BY_FRAME: dict[str, _BySteps] = {"exact": _exact, "smc": _smc, "elbo": _elbo, "elbo_sampled": _elbo_sampled}
_NOT_BY_FRAME = {
    "iwae": "it averages the weights of whole trajectories, in which no frame has a share of its own",
    "stepwise": "its terms forget which particles explained the frames before, so that none of them is of "
    "log p(x_t | x_<t)",
}


def _scored(
    net: VRNN, batches: Iterable[Batch], by_steps: _BySteps, particles: int, seed: int
) -> Iterator[FrameScores]:
    for x, mask, indices in batches:
        held = particles if by_steps is _smc else 1
        for own_x, own_mask, own in parts(x, mask, Noise(seed, indices), held):
            for piece, *columns in by_steps(net, own_x, own_mask, particles, own):
                for row, frames in enumerate(_lengths(piece)):
                    nats, ess, pen = (c if c is None else c[row, :frames].double().numpy(force=True) for c in columns)
                    assert nats is not None
                    yield FrameScores(own.sequences[row], piece.steps.start, ess, pen, nats)


def _encoded(net: VRNN, batches: Iterable[Batch], sampled: bool, seed: int) -> Iterator[Encoded]:
    for x, mask, indices in batches:
        for own_x, own_mask, own in parts(x, mask, (Noise if sampled else Silence)(seed, indices)):
            pieces = Pieces(net, own_x, own_mask)
            drawn: Iterator[tuple[Piece, Tensor | None, Rollout]]
            if net.has_latents:
                drawn = pieces.infer(noise=own)
            else:
                drawn = ((piece, None, rollout) for piece, rollout in pieces.follow())
            for piece, z, rollout in drawn:
                made = None if z is None else _deviations(rollout.q, z, sampled)
                h = torch.cat([rollout.states.h[:, 1:], rollout.last.h.unsqueeze(-2)], -2)
                for row, frames in enumerate(_lengths(piece)):
                    arrays = (None if a is None else a[row, :frames].numpy(force=True) for a in (z, made, h))
                    yield Encoded(own.sequences[row], piece.steps.start, *arrays)  # type: ignore[arg-type]


class Silence(Noise):
    """Noise of 0: every draw is the density's mean."""

    def normal(self, particles: range, steps: range, width: int, like: Tensor) -> Tensor:
        """Zeros, ``(K, B, T, width)``."""
        return like.new_zeros((len(particles), len(self.sequences), len(steps), width))

    def of(self, rows: slice) -> "Silence":
        """That of some of the sequences."""
        return Silence(self.seed, self.sequences[rows])


def _deviations(q: Any, z: Tensor, sampled: bool) -> Tensor:
    """Standard deviations of the guide's densities, ``(B, t, Z)``."""
    steps = q.steps if isinstance(q, PerStep) else (q,)
    family = type(steps[0])
    if not sampled and draw.dispatch(family) is draw.dispatch(object):
        raise ConfigurationError(
            f"the guide's {family.__name__} draws its own noise, so it has no path of means; sample it (--draw), or "
            "register it with pyro_vrnn.model.densities.draw"
        )
    try:
        made = [step.stddev for step in steps]
    except NotImplementedError:
        return torch.full_like(z, torch.nan)
    return (torch.stack(made, -2) if isinstance(q, PerStep) else made[0]).expand(z.shape)


def _lengths(piece: Piece) -> list[int]:
    return piece.mask.sum(-1).tolist()


@torch.no_grad()
def _each(net: VRNN, seed: int, items: Iterator[Item]) -> Iterator[Item]:
    """The same items; what holds while each is computed does not hold while the caller works on it."""
    for i in count():
        # Families that do not follow given noise draw from here: each time anew.
        with evaluating(net, seed + i):
            item = next(items, None)
        if item is None:
            return
        yield item
