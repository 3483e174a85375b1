"""What the latents carry."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import pyro
import torch
from torch import Tensor

from pyro_vrnn.inference.noise import own_noise
from pyro_vrnn.model.draws import infer
from pyro_vrnn.model.guides import PriorGuide
from pyro_vrnn.model.network import VRNN

#: A posterior has collapsed if its KL is below this many nats a frame and ...
COLLAPSED_KL = 0.01
#: ... drawing z from the prior costs less than this share of the bound.
COLLAPSED_DROP = 0.001


@dataclass(frozen=True)
class LatentUse:
    """How much of a bound its latents carry, in nats per frame.

    Attributes:
        kl: Mean KL(q || p): an upper bound on what z_t tells of x_t beyond the past.
        bound: The bound.
        bound_from_prior: The bound with every z_t drawn from the prior instead.
    """

    kl: float
    bound: float
    bound_from_prior: float

    @property
    def collapsed(self) -> bool:
        """Whether the model has learnt to ignore its latents."""
        return self.kl < COLLAPSED_KL and not self._needed

    def line(self) -> str:
        """One sentence for people."""
        verdict = "z is in use" if self._needed else "z differs from its prior, but the bound does not need it"
        verdict = "the posterior has collapsed: z is ignored" if self.collapsed else verdict
        return (
            f"{verdict} (KL {self.kl:.3g} nats a frame; the bound is {self.bound:.1f} nats a frame, "
            f"{self.bound_from_prior:.1f} with z from the prior)"
        )

    @property
    def _needed(self) -> bool:
        return self.bound - self.bound_from_prior >= COLLAPSED_DROP * abs(self.bound)

    def metrics(self) -> dict[str, float]:
        """Flat names and numbers, as they are tracked."""
        return {f"latents_{name}": value for name, value in asdict(self).items()} | {
            "latents_collapsed": float(self.collapsed)
        }


@torch.no_grad()
def latent_use(net: VRNN, batches: Iterable[tuple[Tensor, Tensor, Tensor]], *, seed: int = 0) -> LatentUse:
    """Measures :class:`LatentUse` on a data set, one draw a sequence.

    Args:
        net: A model with latents.
        batches: ``(x, mask, indices)``.
        seed: Of the noise, which leaves the caller's random state alone.
    """
    device = next(net.parameters()).device
    kl = bound = from_prior = frames = 0.0
    with own_noise(device, seed), pyro.validation_enabled(False):
        for x, mask, _ in batches:
            x, mask = x.to(device), mask.to(device)
            z, rollout = infer(net, x, mask, x.shape[:1])
            kl_batch = rollout.kl_or_sampled(z).sum().item()
            kl, frames = kl + kl_batch, frames + mask.sum().item()
            bound += rollout.log_emission.sum().item() - kl_batch
            from_prior += infer(net, x, mask, x.shape[:1], guide=PriorGuide())[1].log_emission.sum().item()
    return LatentUse(kl / frames, bound / frames, from_prior / frames)
