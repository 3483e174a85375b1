"""What happens over time: the states, and all densities of a sequence computed for every step at once."""

from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, kl_divergence

from pyro_vrnn.model.densities import PerStep, kl_of_dimensions
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.state import Past, State, before, steps_outermost


class Rollout:
    """A sequence with its latents, run through the recurrence; densities are computed when first asked for.

    Args:
        net: The parts.
        x: Frames, ``(B, T, X)``.
        mask: True for frames, False for padding, ``(B, T)``.
        states: The state that each step reads, with a time axis: h ``(*K, B, T, H)`` and z ``(*K, B, T, Z)``.
        features_z: phi_z(z_t), ``(*K, B, T, G)``.
        last: The state after the last step.
        q: The guide's density with batch ``(*K, B, T)``; None to compute it when asked for.
        past: What the first step went on from; None for the beginning of the sequences.
        after: The guide's memory after the last step, where it drew the latents and reads no future.
    """

    def __init__(
        self,
        net: VRNN,
        x: Tensor,
        mask: Tensor,
        states: State,
        features_z: Tensor,
        last: State,
        q: Any = None,
        past: Past | None = None,
        after: Any = None,
    ) -> None:
        self.net, self.x, self.mask = net, x, mask
        self.past, self.after = past, after
        self.states, self.features_z, self.last = states, features_z, last
        if q is not None:
            self.q = q
        self._made_with = versions(net)

    @property
    def is_current(self) -> bool:
        """Whether parameters and grad mode are what they were when it was made."""
        return self._made_with == versions(self.net)

    def belongs_to(self, net: VRNN, x: Tensor | None, mask: Tensor, past: Past | None = None) -> bool:
        """Whether it is what running this net on this very x, after this very past, would give now."""
        same_mask = mask is self.mask or torch.equal(mask, self.mask)  # made anew at each call where none is given
        return net is self.net and x is self.x and past is self.past and same_mask and self.is_current

    @property
    def left(self) -> Past:
        """What the next segment of the same sequences goes on from; no gradient goes through it."""
        return Past(self.last, self.after).detach()

    @cached_property
    def p(self) -> Distribution:
        """The prior's density, batch ``(*K, B, T)`` and event ``(Z,)``."""
        assert self.net.prior is not None
        return self.net.prior(self.states)

    @cached_property
    def q(self) -> Any:
        """The guide's density, batch ``(*K, B, T)`` and event ``(Z,)``."""
        assert self.net.guide is not None
        # Where the recurrence reads no z, h is the same for all particles.
        h = None if self.net.recurrence.reads_z else self.states.h[(0,) * (self.states.h.ndim - 3)]
        memory = None if self.past is None or self.net.guide.reads_future else self.past.memory
        prepared, _ = self.net.guide.prepare(self.net.phi_x(self.x), self.mask, h, memory)
        return self.net.guide(prepared, self.states, lambda: self.p)

    @cached_property
    def emission(self) -> Distribution:
        """The emission's density, batch ``(*K, B, T)`` and event ``(X,)``."""
        return self.net.emit(self.features_z, self.states)

    @cached_property
    def log_emission(self) -> Tensor:
        """log p(x_t | z_<=t, x_<t) in nats, ``(*K, B, T)``; 0 in the padding."""
        return self._valid(self.emission.log_prob(steps_outermost(self.x)))

    @property
    def log_mass(self) -> Tensor | None:
        """The share of :attr:`log_emission` that is a probability, of a frame's binary values; None without any."""
        if not self.net.binary:
            return None
        return self._valid(self.emission.log_mass(steps_outermost(self.x)))  # type: ignore[attr-defined]

    @cached_property
    def kl(self) -> Tensor:
        """KL(q(z_t | .) || p(z_t | .)) in nats, ``(*K, B, T)``; 0 in the padding.

        Raises:
            NotImplementedError: If the two families have no closed form.
        """
        return self.kl_to(self.p)

    def kl_to(self, p: Distribution) -> Tensor:
        """As :attr:`kl`, to a prior that another rollout of the same z gave."""
        if isinstance(self.q, PerStep):
            raise NotImplementedError
        return self._valid(kl_divergence(self.q, p))

    @property
    def kl_of_dimensions(self) -> Tensor:
        """:attr:`kl` of every latent dimension by itself, ``(*K, B, T, Z)``; 0 in the padding.

        Raises:
            NotImplementedError: If the two families have no such form.
        """
        return kl_of_dimensions(self.q, self.p).masked_fill(~self.mask.unsqueeze(-1), 0.0)

    def kl_or_sampled(self, z: Tensor) -> Tensor:
        """:attr:`kl`, or where the families have no closed form log q - log p at this draw, ``(*K, B, T)``."""
        try:
            return self.kl
        except NotImplementedError:
            return self.log_guide(z) - self.log_prior(z)

    def log_prior(self, z: Tensor) -> Tensor:
        """log p(z_t | x_<t, z_<t) in nats, ``(*K, B, T)``; 0 in the padding."""
        return self._valid(self.p.log_prob(z))

    def log_guide(self, z: Tensor) -> Tensor:
        """log q(z_t | x, z_<t) in nats, ``(*K, B, T)``; 0 in the padding."""
        return self._valid(self.q.log_prob(z))

    def log_weights(self, z: Tensor) -> Tensor:
        """log w_t = log p(x_t | .) + log p(z_t | .) - log q(z_t | .) of every step, ``(*K, B, T)``."""
        if not self.net.has_latents:
            return self.log_emission
        return self.log_emission + self.log_prior(z) - self.log_guide(z)

    def _valid(self, per_step: Tensor) -> Tensor:
        return per_step.masked_fill(~self.mask, 0.0)


def follow(
    net: VRNN,
    x: Tensor,
    mask: Tensor,
    z: Tensor,
    past: Past | None = None,
    features_x: Tensor | None = None,
) -> Rollout:
    """Runs known latents ``(*K, B, T, Z)``: nothing is drawn, so the library's own loop over time serves.

    Args:
        net: The parts.
        x: Frames, ``(B, T, X)``.
        mask: True for frames, False for padding, ``(B, T)``.
        z: The latents.
        past: What the first step goes on from; None for h_0 = 0.
        features_x: phi_x(x), where it is known.
    """
    state = net.initial_state(z.shape[:-2]) if past is None else past.state.expand(z.shape[:-2])
    features_z = net.features_z(z)
    features_x = net.phi_x(x) if features_x is None else features_x
    h, (last_h, memory) = net.recurrence.over_time(features_x, features_z, state)
    states = State(before(state.h, h), before(state.z, z))
    return Rollout(net, x, mask, states, features_z, State(last_h, z[..., -1, :], memory), past=past)


def versions(net: VRNN) -> tuple[bool, tuple[int, ...]]:
    """Changes when a parameter is written to or gradients are switched on or off."""
    return torch.is_grad_enabled(), tuple(parameter._version for parameter in net.parameters())
