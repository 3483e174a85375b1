"""What training maximises: the bound (Eq. 11) by Pyro's ELBO, tighter bounds, or a bound with a weighted divergence."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.inference.results import Kind
from pyro_vrnn.inference.smc import smc
from pyro_vrnn.model import markov, sequence
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.rollout import Rollout
from pyro_vrnn.model.segments import follow, infer
from pyro_vrnn.model.state import Past
from pyro_vrnn.training.bounds import MeanField, Sampled
from pyro_vrnn.training.config import PARTICLES, TrainingOptions
from pyro_vrnn.training.world import World

PROGRAMS = {"sequence": sequence, "markov": markov}


class Objective(nn.Module):
    """Contract of an objective: the loss of a batch, in nats, summed over its valid frames.

    An ordinary module: its parameters are the network's, and a torch optimiser trains it.

    Attributes:
        kind: What the value that is maximised says of log p(x).
        particles: Draws a sequence; 1 unless the bound has more.
        parts: Detached sums of the last batch, in nats, by name: ``bound`` (what it says of log p(x)), where they are
            known ``reconstruction`` (log p(x | z)) and ``kl``, and ``objective`` where it is no bound.
        after: Where the last batch was given a past: what its next segments go on from, of one draw a sequence.
    """

    kind = Kind.BOUND
    particles = 1
    parts: dict[str, Tensor]
    after: Past | None = None

    def forward(self, x: Tensor, mask: Tensor, past: Past | None = None) -> Tensor:
        """The loss of frames ``(B, T, X)``, of which ``mask`` ``(B, T)`` says which count.

        Segments of longer sequences go on from a past with batch ``(B,)``, through which no gradient goes.
        """
        raise NotImplementedError

    def at(self, step: int) -> None:
        """Told the number of optimiser steps that are done, before each."""


class Elbo(Objective):
    r"""The negative bound (Chung et al. 2015, Eq. 11), by Pyro.

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
        self.kind = Kind.BOUND if net.has_latents else Kind.EXACT
        self.latents = net.has_latents
        self.loss = self.bound(module.Model(net, store=False), module.Guide(net, store=False))

    def forward(self, x: Tensor, mask: Tensor, past: Past | None = None) -> Tensor:
        """The negative bound."""
        loss = self.loss(x, mask, past)
        self.after = (self.loss.guide if self.latents else self.loss.model).after
        bound, reconstruction = -loss.detach(), self.bound.reconstruction
        self.parts = {"bound": bound, "reconstruction": reconstruction, "kl": reconstruction - bound}
        return loss


class _OfParticles(Objective):
    """A bound of several draws.

    Args:
        net: A model with latents.
        particles: K.
    """

    kind = Kind.CONSISTENT

    def __init__(self, net: VRNN, particles: int) -> None:
        super().__init__()
        self.net, self.particles = net, particles


class Iwae(_OfParticles):
    r"""The negative importance-weighted bound (Burda et al. 2016), with doubly reparameterised gradients.

    .. math::
        \nabla \log \tfrac1K \textstyle\sum_k w_k \doteq \sum_k \tilde w_k\, \partial \log p(x, z_k)
        + \tilde w_k^2\, \frac{\partial \log w_k}{\partial z_k} \nabla z_k,
        \qquad \tilde w_k = w_k / \textstyle\sum_j w_j

    (Tucker et al. 2019, Eq. 8), equal in expectation to the gradient of the bound. The partial derivatives are of the
    trajectory's weight as a function of the whole trajectory: parameters that the guide and the model share (phi_x,
    phi_z and the recurrence) count in log p and not in log q, while log q(z_t | x, z_<t) goes on to pass gradient to
    the earlier latents. Stopping the gradient at the outputs of q, its mean and sigma, would cut that path and be
    biased. Hence the second rollout, of the same latents as leaves of a graph of its own.
    """

    def forward(self, x: Tensor, mask: Tensor, past: Past | None = None) -> Tensor:
        """The negative bound; its gradient is the estimator's. All particles go on from one past."""
        z, drawn = infer(self.net, x, mask, (self.particles, len(x)), past=past)
        # Any particle is a draw of the guide; one that the weights chose would be none.
        self.after = None if past is None else drawn.left.of_particle(0)
        leaf = z.detach().requires_grad_()
        rollout = follow(self.net, x, mask, leaf, past)
        log_prior, log_guide = rollout.log_prior(leaf), rollout.log_guide(leaf)
        log_p = (rollout.log_emission + log_prior).sum(-1)
        log_w = log_p - log_guide.sum(-1)
        bound = (log_w.detach().logsumexp(0) - math.log(self.particles)).sum()
        self.parts = {
            "bound": bound,
            "reconstruction": rollout.log_emission.detach().mean(0).sum(),
            "kl": (log_guide - log_prior).detach().mean(0).sum(),
        }
        weights = log_w.detach().softmax(0)
        (through_z,) = torch.autograd.grad((weights.square() * log_w).sum(), leaf, retain_graph=True)
        surrogate = (weights * log_p).sum() + (through_z * z).sum()
        return surrogate.detach() - surrogate - bound


class Fivo(_OfParticles):
    r"""The negative FIVO bound: :func:`~pyro_vrnn.inference.smc.smc` with the guide as proposal.

    Its gradient leaves out the score of the resampled ancestors, as all of its authors do: it is biased, and of lower
    variance (Maddison et al. 2017, Sec. 4).
    """

    def forward(self, x: Tensor, mask: Tensor, past: Past | None = None) -> Tensor:
        """The negative bound."""
        assert past is None, "the particles of a filter go on together"
        bound = smc(self.net, x, mask, self.particles).increments.sum()
        self.parts = {"bound": bound.detach()}
        return -bound


class Weighted(Objective):
    r"""A bound whose divergence is weighted or floored: an objective, never a likelihood.

    .. math::
        \sum_t \log p(x_t \mid z_{\le t}, x_{<t}) - \beta \sum_j n \max(\lambda, \overline{\mathrm{KL}}_j)

    with beta rising from 0 to 1 (annealing), free bits lambda (Kingma et al. 2016, App. C.8), and the mean over the n
    valid frames of the batch, over all ranks, of latent dimension j's divergence. Padding never enters the mean.

    Args:
        net: A model with latents.
        annealing: Optimiser steps until beta is 1.
        free_bits: lambda, in nats a latent dimension and frame; 0 leaves the divergence as it is.
        world: Whose ranks share a batch.
    """

    kind = Kind.OBJECTIVE

    def __init__(self, net: VRNN, annealing: int = 0, free_bits: float = 0.0, world: World | None = None) -> None:
        super().__init__()
        self.net, self.annealing, self.free_bits = net, annealing, free_bits
        self.world = World() if world is None else world
        self.beta = 1.0

    def at(self, step: int) -> None:
        """Sets beta."""
        self.beta = min(1.0, step / self.annealing) if self.annealing else 1.0

    def forward(self, x: Tensor, mask: Tensor, past: Past | None = None) -> Tensor:
        """The negative objective."""
        z, rollout = infer(self.net, x, mask, x.shape[:1], by_dimension=self.free_bits > 0, past=past)
        self.after = None if past is None else rollout.left
        reconstruction = rollout.log_emission.sum()
        kl = rollout.kl_or_sampled(z).sum() if self.free_bits == 0 else self._floored(rollout, mask)
        objective = reconstruction - self.beta * kl
        true = kl.detach() if self.free_bits == 0 else rollout.kl.detach().sum()
        bound = reconstruction.detach() - true
        self.parts = {
            "objective": objective.detach(),
            "bound": bound,
            "reconstruction": reconstruction.detach(),
            "kl": true,
        }
        return -objective

    def _floored(self, rollout: Rollout, mask: Tensor) -> Tensor:
        try:
            by_dimension = rollout.kl_of_dimensions
        except NotImplementedError as error:
            raise ConfigurationError(
                f"training.free_bits: {error} is not known; use a guide and a prior that are diagonal Gaussians"
            ) from None
        own = by_dimension.sum((0, 1))
        # Whether a dimension lies above the floor is decided by the whole batch; each rank then adds its part of it.
        frames, *whole = self.world.sum(torch.cat([mask.sum().to(own).unsqueeze(0), own]))
        floor = self.free_bits * frames
        return torch.where(torch.stack(whole) >= floor, own, floor / self.world.size).sum()


def check_objective(options: TrainingOptions, *, latents: bool) -> None:
    """Sees that the options name an objective for a model with latents, or without.

    Raises:
        ConfigurationError: If a combination has no meaning.
    """
    if options.checkpoint_every and (options.program == "markov" or options.objective == "fivo"):
        what = "--program markov" if options.program == "markov" else "--objective fivo"
        raise ConfigurationError(f"--checkpoint-every: not with {what}, which keeps every step; leave out one of them")
    if (options.carry or 1) > 1 and options.objective == "fivo":
        raise ConfigurationError(
            f"--carry {options.carry}: not with --objective fivo, whose filter begins with each segment; pass --carry 1"
        )
    weighted = options.kl_annealing or options.free_bits
    if options.objective == "elbo" and not weighted:
        if options.particles is not None and options.particles > 1:
            raise ConfigurationError(
                f"--particles {options.particles}: the objective elbo has one; pass --objective iwae or fivo, or for"
                f" the scores after training --set evaluation.particles={options.particles}"
            )
        return
    what = f"--objective {options.objective}" if options.objective != "elbo" else "training.kl_annealing or free_bits"
    if not latents:
        raise ConfigurationError(f"{what}: the model has no latents; its likelihood is exact, use --objective elbo")
    if options.program == "markov" or options.elbo == "trace":
        raise ConfigurationError(f"{what}: not a Pyro ELBO; leave out --program and --elbo")
    if weighted and options.objective != "elbo":
        raise ConfigurationError(f"{what}: has no divergence to weight; leave out training.kl_annealing and free_bits")


def build_objective(net: VRNN, options: TrainingOptions, world: World | None = None) -> Objective:
    """The objective that the options name.

    Args:
        net: The parts.
        options: Explicit options.
        world: Whose ranks share a batch; None for a process by itself.

    Raises:
        ConfigurationError: If a combination has no meaning.
    """
    check_objective(options, latents=net.has_latents)
    net.checkpoint_every = options.checkpoint_every
    if options.objective == "elbo":
        if options.kl_annealing or options.free_bits:
            return Weighted(net, options.kl_annealing, options.free_bits, world)
        return Elbo(net, options.program, options.elbo)
    return {"iwae": Iwae, "fivo": Fivo}[options.objective](net, options.particles or PARTICLES[options.objective])


def validated_by(objective: str, net: VRNN) -> str:
    """The estimator by which an objective's best state is chosen."""
    return {"elbo": "elbo", "iwae": "iwae", "fivo": "smc"}[objective] if net.has_latents else "exact"
