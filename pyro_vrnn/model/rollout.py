"""What happens over time: the states, and all densities of a sequence computed for every step at once."""

from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, kl_divergence

from pyro_vrnn.model.densities import PerStep, over_time
from pyro_vrnn.model.guides import Guide
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.state import State, before


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
    """

    def __init__(
        self, net: VRNN, x: Tensor, mask: Tensor, states: State, features_z: Tensor, last: State, q: Any = None
    ) -> None:
        self.net, self.x, self.mask = net, x, mask
        self.states, self.features_z, self.last = states, features_z, last
        if q is not None:
            self.q = q
        self._made_with = _versions(net)

    @property
    def is_current(self) -> bool:
        """Whether parameters and grad mode are what they were when it was made."""
        return self._made_with == _versions(self.net)

    def belongs_to(self, net: VRNN, x: Tensor | None, mask: Tensor) -> bool:
        """Whether it is what running this net on this very x would give now."""
        same_mask = mask is self.mask or torch.equal(mask, self.mask)  # made anew at each call where none is given
        return net is self.net and x is self.x and same_mask and self.is_current

    @cached_property
    def p(self) -> Distribution:
        """The prior's density, batch ``(*K, B, T)`` and event ``(Z,)``."""
        assert self.net.prior is not None
        return self.net.prior(self.states)

    @cached_property
    def q(self) -> Any:
        """The guide's density, batch ``(*K, B, T)`` and event ``(Z,)``."""
        assert self.net.guide is not None
        h = None if self.net.recurrence.reads_z else self.states.h
        features_x = self.net.phi_x(self.x)
        if h is not None:
            features_x = features_x.expand(*h.shape[:-1], -1)
        prepared = self.net.guide.prepare(features_x, self.mask, h)
        return self.net.guide(prepared, self.states, lambda: self.p)

    @cached_property
    def emission(self) -> Distribution:
        """The emission's density, batch ``(*K, B, T)`` and event ``(X,)``."""
        return self.net.emit(self.features_z, self.states)

    @cached_property
    def log_emission(self) -> Tensor:
        """log p(x_t | z_<=t, x_<t) in nats, ``(*K, B, T)``; 0 in the padding."""
        return self._valid(self.emission.log_prob(self.x))

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


def follow(net: VRNN, x: Tensor, mask: Tensor, z: Tensor, state: State | None = None) -> Rollout:
    """Runs known latents ``(*K, B, T, Z)``: nothing is drawn, so the library's own loop over time serves."""
    state = net.initial_state(z.shape[:-2]) if state is None else state
    features_z = net.features_z(z)
    h, (last_h, memory) = net.recurrence.over_time(net.phi_x(x), features_z, state)
    states = State(before(state.h, h), before(state.z, z))
    return Rollout(net, x, mask, states, features_z, State(last_h, z[..., -1, :], memory))


def infer(
    net: VRNN,
    x: Tensor,
    mask: Tensor,
    batch_shape: torch.Size | tuple[int, ...],
    *,
    guide: Guide | None = None,
    state: State | None = None,
) -> tuple[Tensor, Rollout]:
    """Draws z ~ q(z | x) (Eq. 10) by the guide, reparameterised, one step after the other where it must be.

    Args:
        net: The parts.
        x: Frames, ``(B, T, X)``.
        mask: True for frames, False for padding, ``(B, T)``.
        batch_shape: ``(*K, B)``: particles in front.
        guide: Drawn from instead of the net's own.
        state: The state before the first step; None for h_0 = 0.

    Returns:
        z, ``(*K, B, T, Z)``, and its rollout.
    """
    guide = net.guide if guide is None else guide
    assert guide is not None, "a model without latents has nothing to infer"
    if not (guide.reads_state or guide.reads_prior):
        return _infer_at_once(net, guide, x, mask, batch_shape, state)
    if not net.recurrence.reads_z:
        return _infer_given_h(net, guide, x, mask, batch_shape, state)
    state = first = net.initial_state(batch_shape) if state is None else state
    features_x = net.phi_x(x)
    prepared, driven = guide.prepare(features_x, mask), net.recurrence.prepare(features_x)
    zs, features_zs, qs, hs = _lists(4)
    for prepared_t, driven_t in zip(prepared.unbind(-2), driven.unbind(-2), strict=True):
        q_t = guide(prepared_t, state, partial(_prior, net, state))
        z_t = q_t.rsample()
        features_z = net.features_z(z_t)
        for items, item in zip((zs, features_zs, qs, hs), (z_t, features_z, q_t, state.h), strict=True):
            items.append(item)
        state = net.advance(driven_t, z_t, features_z, state)
    z = torch.stack(zs, -2)
    states = State(torch.stack(hs, -2), before(first.z, z))
    return z, Rollout(net, x, mask, states, torch.stack(features_zs, -2), state, over_time(qs[0], qs))


def _infer_at_once(
    net: VRNN, guide: Guide, x: Tensor, mask: Tensor, batch_shape: torch.Size | tuple[int, ...], state: State | None
) -> tuple[Tensor, Rollout]:
    """A guide that reads no past of z (STORN) is drawn from for all steps at once."""
    state = net.initial_state(batch_shape) if state is None else state
    features_x = net.phi_x(x)
    h = net.h_without_z(features_x, state)
    prepared = guide.prepare(features_x if h is None else features_x.expand(*h.shape[:-1], -1), mask, h)
    q = guide(prepared, state, partial(_prior, net, state)).expand((*batch_shape, x.shape[-2]))
    z = q.rsample()
    rollout = follow(net, x, mask, z, state)
    rollout.q = q
    return z, rollout


def _infer_given_h(
    net: VRNN, guide: Guide, x: Tensor, mask: Tensor, batch_shape: torch.Size | tuple[int, ...], state: State | None
) -> tuple[Tensor, Rollout]:
    """Where the recurrence reads no z (SRNN) all h come first, and the loop holds the guide alone."""
    state = net.initial_state(batch_shape) if state is None else state
    features_x = net.phi_x(x)
    nothing = x.new_zeros((*batch_shape, x.shape[-2], net.dims.phi_z))
    after, (last_h, memory) = net.recurrence.over_time(features_x, nothing, state)
    h = before(state.h, after)
    prepared = guide.prepare(features_x.expand(*h.shape[:-1], -1), mask, h)
    z_t, zs, qs = state.z, [], []
    for prepared_t, h_t in zip(prepared.unbind(-2), h.unbind(-2), strict=True):
        past = State(h_t, z_t)
        q_t = guide(prepared_t, past, partial(_prior, net, past))
        z_t = q_t.rsample()
        zs.append(z_t)
        qs.append(q_t)
    z = torch.stack(zs, -2)
    states, last = State(h, before(state.z, z)), State(last_h, z_t, memory)
    return z, Rollout(net, x, mask, states, net.features_z(z), last, over_time(qs[0], qs))


def generate(
    net: VRNN, mask: Tensor, batch_shape: torch.Size | tuple[int, ...], *, z: Tensor | None = None
) -> tuple[Tensor, Tensor, Rollout]:
    """Draws x and z from the joint density (Eqs. 5 to 8), feeding x back.

    Args:
        net: The parts.
        mask: Says how many frames, ``(B, T)``.
        batch_shape: ``(*K, B)``: particles in front.
        z: Latents to hold fixed, ``(*K, B, T, Z)``; None draws them from the prior.

    Returns:
        x, ``(*K, B, T, X)``; z, ``(*K, B, T, Z)``; and their rollout.
    """
    state = first = net.initial_state(batch_shape)
    xs, zs, features_zs, hs = _lists(4)
    for t in range(mask.shape[-1]):
        drawn = state.z if z is not None or net.prior is None else net.prior(state).sample()
        z_t = drawn if z is None else z[..., t, :]
        features_z = net.features_z(z_t)
        x_t = net.emit(features_z, state).sample()
        for items, item in zip((xs, zs, features_zs, hs), (x_t, z_t, features_z, state.h), strict=True):
            items.append(item)
        state = net.advance(net.recurrence.prepare(net.phi_x(x_t)), z_t, features_z, state)
    x, z = torch.stack(xs, -2), torch.stack(zs, -2)
    states = State(torch.stack(hs, -2), before(first.z, z))
    return x, z, Rollout(net, x, mask, states, torch.stack(features_zs, -2), state)


def _prior(net: VRNN, state: State) -> Distribution:
    assert net.prior is not None
    return net.prior(state)


def _versions(net: VRNN) -> tuple[bool, tuple[int, ...]]:
    """Changes when a parameter is written to or gradients are switched on or off."""
    return torch.is_grad_enabled(), tuple(parameter._version for parameter in net.parameters())


def _lists(count: int) -> tuple[list[Any], ...]:
    return tuple([] for _ in range(count))
