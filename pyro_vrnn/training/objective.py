"""The training objective: Pyro's ELBO over a pair of programs, with its parts kept for the log."""

from typing import Any, Literal

import torch
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from pyro.poutine.trace_struct import Trace
from torch import Tensor, nn

from pyro_vrnn.model import markov, sequence
from pyro_vrnn.model.network import VRNN

PROGRAMS = {"sequence": sequence, "markov": markov}


class _KeepsReconstruction:
    """Remembers the log-likelihood part of the last bound, and leaves it to the loop to see what is not finite.

    Every guide here is reparameterised, so Pyro's surrogate is the negative bound itself.
    """

    reconstruction: Tensor

    def differentiable_loss(self, model: nn.Module, guide: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        ((model_trace, guide_trace),) = self._get_traces(model, guide, args, kwargs)  # type: ignore[attr-defined]
        return self._differentiable_loss_particle(model_trace, guide_trace)[1]

    def _differentiable_loss_particle(self, model_trace: Trace, guide_trace: Trace) -> Any:
        observed = [site["log_prob_sum"] for site in model_trace.nodes.values() if _is_observation(site)]
        self.reconstruction = torch.stack(observed).sum().detach()
        return super()._differentiable_loss_particle(model_trace, guide_trace)  # type: ignore[misc]


class MeanField(_KeepsReconstruction, TraceMeanField_ELBO):
    """The bound with analytic KL where the families have one."""


class Sampled(_KeepsReconstruction, Trace_ELBO):
    """The bound with every term sampled."""


def _is_observation(site: dict[str, Any]) -> bool:
    return site["type"] == "sample" and site["is_observed"] and "log_prob_sum" in site and site["name"] != "sequences"


class Objective(nn.Module):
    r"""The negative bound (Chung et al. 2015, Eq. 11) summed over the valid frames of a batch, in nats.

    An ordinary module: its parameters are the network's, and a torch optimiser trains it.

    Args:
        net: The parts.
        program: Which of the two programs runs.
        elbo: KL analytic where it exists, or sampled.
    """

    def __init__(
        self,
        net: VRNN,
        program: Literal["sequence", "markov"] = "sequence",
        elbo: Literal["mean-field", "trace"] = "mean-field",
    ) -> None:
        super().__init__()
        module = PROGRAMS[program]
        self.bound = MeanField() if elbo == "mean-field" else Sampled()
        self.loss = self.bound(module.Model(net, store=False), module.Guide(net, store=False))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """The negative bound of frames ``(B, T, X)``, of which ``mask`` ``(B, T)`` says which count."""
        return self.loss(x, mask)

    @property
    def reconstruction(self) -> Tensor:
        """log p(x | z) of the last batch, summed, in nats."""
        return self.bound.reconstruction
