"""What the latents carry."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyro_vrnn.inference.estimators import Batch, evaluating
from pyro_vrnn.inference.noise import Noise
from pyro_vrnn.inference.pieces import Piece, Pieces, parts
from pyro_vrnn.model.guides import PriorGuide
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.rollout import Rollout
from pyro_vrnn.model.state import State

Array = NDArray[np.float64]

#: A posterior has collapsed if its KL is below this many nats a frame and ...
COLLAPSED_KL = 0.01
#: ... drawing z from the prior costs less than this share of the bound.
COLLAPSED_DROP = 0.001
#: A dimension whose posterior mean varies by more than this, in variances of the prior, is in use (Burda et al. 2016).
ACTIVE = 0.01


@dataclass(frozen=True, eq=False)
class LatentUse:
    r"""How much of a bound its latents carry, in nats per frame.

    Attributes:
        kl: Mean KL(q || p) over all frames. Averaged over the data it is an upper bound on the mutual information
            :math:`I(z_t; x_t \mid h_{t-1})` under the guide (also on that with later frames where the guide reads
            them): :math:`\mathbb{E}\,\mathrm{KL}(q \| p) = I + \mathbb{E}\,\mathrm{KL}(q(z_t \mid h_{t-1}) \| p)`.
        bound: The bound.
        bound_from_prior: The bound with every z_t drawn from the prior instead, whose KL is 0.
        bound_without_h: The bound with h zeroed in the emission alone: the same z, and the same KL. What z carries by
            itself.
        kl_per_step: Mean KL of step t over the sequences that reach it, ``(T,)``.
        sequences_per_step: How many do, ``(T,)``.
        kl_per_dimension: Mean KL of each latent dimension, ``(Z,)``, whose sum is :attr:`kl`; None where the two
            families have no such form.
        mean_variance: Variance over all frames of :math:`(\mu_q - \mu_p)_j / \sigma_{p,j}`, ``(Z,)``; None as above.
    """

    kl: float
    bound: float
    bound_from_prior: float
    bound_without_h: float
    kl_per_step: Array
    sequences_per_step: NDArray[np.int64]
    kl_per_dimension: Array | None = None
    mean_variance: Array | None = None

    @property
    def active_units(self) -> int | None:
        """Dimensions in use: where :attr:`mean_variance` is above 0.01.

        Burda et al. (2016) take the variance of the posterior mean alone, for a prior that is standard normal. Under a
        prior that reads the past that mean moves with the prior's, and a guide equal to it would count as active.
        """
        return None if self.mean_variance is None else int((self.mean_variance > ACTIVE).sum())

    @property
    def collapsed(self) -> bool:
        """Whether the model has learnt to ignore its latents."""
        return self.kl < COLLAPSED_KL and not self._needed

    def line(self) -> str:
        """One sentence for people."""
        verdict = "z is in use" if self._needed else "z differs from its prior, but the bound does not need it"
        verdict = "the posterior has collapsed: z is ignored" if self.collapsed else verdict
        units = "" if self.mean_variance is None else f", {self.active_units} of {len(self.mean_variance)} units active"
        return (
            f"{verdict} (one draw: KL {self.kl:.3g} nats a frame{units}; the bound is {self.bound:.4g} nats a frame, "
            f"{self.bound_from_prior:.4g} with z from the prior, {self.bound_without_h:.4g} without h in the emission)"
        )

    @property
    def _needed(self) -> bool:
        return self.bound - self.bound_from_prior >= COLLAPSED_DROP * abs(self.bound)

    def metrics(self) -> dict[str, float]:
        """Flat names and numbers, as they are tracked."""
        values = {
            "latents_kl": self.kl,
            "latents_bound_from_prior": self.bound_from_prior,
            "latents_bound_without_h": self.bound_without_h,
            "latents_collapsed": float(self.collapsed),
        }
        return values if self.active_units is None else {**values, "latents_active_units": float(self.active_units)}

    def as_dict(self) -> dict[str, object]:
        """Everything a results file says of it, in nats per frame."""
        return {
            "kl": self.kl,
            "bound": self.bound,
            "bound_from_prior": self.bound_from_prior,
            "bound_without_h": self.bound_without_h,
            "collapsed": self.collapsed,
            "active_units": self.active_units,
            "mean_variance_per_dimension": None if self.mean_variance is None else self.mean_variance.tolist(),
            "kl_per_dimension": None if self.kl_per_dimension is None else self.kl_per_dimension.tolist(),
            "kl_per_step": self.kl_per_step.tolist(),
            "sequences_per_step": self.sequences_per_step.tolist(),
        }


@torch.no_grad()
def latent_use(net: VRNN, batches: Iterable[Batch], *, seed: int = 0) -> LatentUse:
    """Measures :class:`LatentUse` on a data set, one draw a sequence; it does not depend on how sequences are batched.

    Args:
        net: A model with latents.
        batches: ``(x, mask, indices)``; sequences of any length in constant memory.
        seed: Of the noise, the same for the guide's and the prior's draws. It leaves the caller's random state alone.
    """
    totals = _Totals()
    with evaluating(net, seed):
        for x, mask, indices in batches:
            for own_x, own_mask, own in parts(x, mask, Noise(seed, indices)):
                for piece, z, rollout in Pieces(net, own_x, own_mask).infer(noise=own):
                    totals.add(piece, z, rollout)
                for _, _, rollout in Pieces(net, own_x, own_mask, PriorGuide()).infer(noise=own):
                    totals.from_prior += _sum(rollout.log_emission)
    return totals.use()


class _Totals:
    """Sums over pieces, in double precision."""

    def __init__(self) -> None:
        self.frames = 0
        self.kl = self.log_emission = self.from_prior = self.without_h = 0.0
        self.kl_of_steps, self.sequences = np.zeros(0), np.zeros(0, np.int64)
        self.by_dimension: _Dimensions | None = _Dimensions()

    def add(self, piece: Piece, z: Tensor, rollout: Rollout) -> None:
        """A piece with its draw."""
        kl = rollout.kl_or_sampled(z).double()
        self.frames += int(piece.mask.sum())
        self.kl += _sum(kl)
        self.log_emission += _sum(rollout.log_emission)
        self.without_h += _sum(_without_h(rollout))
        self._add_steps(piece.steps, kl.sum(0), piece.mask.sum(0))
        if self.by_dimension is not None:
            try:
                self.by_dimension.add(rollout, piece.mask)
            except NotImplementedError:
                self.by_dimension = None

    def _add_steps(self, steps: range, kl: Tensor, sequences: Tensor) -> None:
        new = (0, max(0, steps.stop - len(self.sequences)))
        self.kl_of_steps, self.sequences = np.pad(self.kl_of_steps, new), np.pad(self.sequences, new)
        where = slice(steps.start, steps.stop)
        self.kl_of_steps[where] += kl.numpy(force=True)
        self.sequences[where] += sequences.numpy(force=True)

    def use(self) -> LatentUse:
        """The means."""
        known, reached = self.by_dimension, int((self.sequences > 0).sum())
        return LatentUse(
            kl=self.kl / self.frames,
            bound=(self.log_emission - self.kl) / self.frames,
            bound_from_prior=self.from_prior / self.frames,
            bound_without_h=(self.without_h - self.kl) / self.frames,
            kl_per_step=self.kl_of_steps[:reached] / self.sequences[:reached],
            sequences_per_step=self.sequences[:reached],
            kl_per_dimension=None if known is None else known.kl / known.count,
            mean_variance=None if known is None else known.squares / known.count,
        )


class _Dimensions:
    """Sums for every latent dimension, ``(Z,)``; mean and squared deviations merged as in Chan et al. (1983)."""

    def __init__(self) -> None:
        self.count = 0
        self.kl = self.mean = self.squares = np.zeros(())

    def add(self, rollout: Rollout, mask: Tensor) -> None:
        """A piece; raises NotImplementedError where dimensions have no KL of their own."""
        kl, (q, p) = rollout.kl_of_dimensions.double(), (rollout.q, rollout.p)
        moved = ((q.loc - p.loc) / p.scale)[mask].double().numpy(force=True)  # type: ignore[attr-defined]
        added = len(moved)
        if not added:
            return
        count, mean = self.count + added, moved.mean(0)
        away = mean - self.mean
        self.kl = self.kl + kl.sum((0, 1)).numpy(force=True)
        self.squares = self.squares + np.square(moved - mean).sum(0) + away**2 * (self.count * added / count)
        self.mean, self.count = self.mean + away * (added / count), count


def _without_h(rollout: Rollout) -> Tensor:
    """log p(x_t | z_t, h = 0), ``(B, T)``, at the same z; 0 in the padding."""
    states = rollout.states
    blind = State(torch.zeros_like(states.h), states.z, states.memory)
    log_emission = rollout.net.emit(rollout.features_z, blind).log_prob(rollout.x)
    return log_emission.masked_fill(~rollout.mask, 0.0)


def _sum(nats: Tensor) -> float:
    return nats.double().sum().item()
