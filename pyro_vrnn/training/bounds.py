"""Pyro's ELBO, with a loss that stays on the device."""

from typing import Any

import torch
from pyro.distributions.util import scale_and_mask
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from torch import Tensor, nn
from torch.distributions import kl_divergence


class Bound:
    """A Pyro ELBO whose loss stays a tensor: Pyro's own waits for the device to say what it is.

    Whether it is finite is the loop's to see. It remembers the log-likelihood part of the last bound.
    """

    reconstruction: Tensor

    def differentiable_loss(self, model: nn.Module, guide: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        """The negative bound; every guide is reparameterised, so this is Pyro's surrogate, too."""
        ((model_trace, guide_trace),) = self._get_traces(model, guide, args, kwargs)  # type: ignore[attr-defined]
        observed = [site["log_prob_sum"] for site in model_trace.nodes.values() if _is_observation(site)]
        drawn = [site for site in guide_trace.nodes.values() if site["type"] == "sample"]
        reconstruction = torch.stack(observed).sum()
        self.reconstruction = reconstruction.detach()
        return sum((self.divergence(q, model_trace.nodes[q["name"]]) for q in drawn), -reconstruction)

    @staticmethod
    def divergence(q: dict[str, Any], p: dict[str, Any]) -> Tensor:
        """KL(q || p) of the guide's and the model's site of a latent."""
        raise NotImplementedError


class Sampled(Bound, Trace_ELBO):
    """The bound with every term sampled."""

    @staticmethod
    def divergence(q: dict[str, Any], p: dict[str, Any]) -> Tensor:
        """At the draw, by the sites' log-densities."""
        return q["log_prob_sum"] - p["log_prob_sum"]


class MeanField(Bound, TraceMeanField_ELBO):
    """The bound with analytic KL where the families have one."""

    @staticmethod
    def divergence(q: dict[str, Any], p: dict[str, Any]) -> Tensor:
        """In closed form, or as :class:`Sampled` has it."""
        try:
            kl = kl_divergence(q["fn"], p["fn"])
        except NotImplementedError:
            return Sampled.divergence(q, p)
        return scale_and_mask(kl, q["scale"], q["mask"]).sum()


def _is_observation(site: dict[str, Any]) -> bool:
    return site["type"] == "sample" and site["is_observed"] and "log_prob_sum" in site and site["name"] != "sequences"
