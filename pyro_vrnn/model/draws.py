"""Drawing latents, and frames: the guide's posterior draws and the model's joint ones, step after step."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from pyro_vrnn.model.densities import draw, over_time
from pyro_vrnn.model.guides import Guide
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.rollout import Rollout, follow
from pyro_vrnn.model.state import State, before


def infer(
    net: VRNN,
    x: Tensor,
    mask: Tensor,
    batch_shape: torch.Size | tuple[int, ...],
    *,
    guide: Guide | None = None,
    state: State | None = None,
    eps: Tensor | None = None,
    prepared: Tensor | None = None,
) -> tuple[Tensor, Rollout]:
    """Draws z ~ q(z | x) (Eq. 10) by the guide, reparameterised, one step after the other where it must be.

    Args:
        net: The parts.
        x: Frames, ``(B, T, X)``.
        mask: True for frames, False for padding, ``(B, T)``.
        batch_shape: ``(*K, B)``: particles in front.
        guide: Drawn from instead of the net's own.
        state: The state before the first step; None for h_0 = 0.
        eps: Standard normal noise that the draws are made of, ``(*K, B, T, Z)``; None draws it too.
        prepared: What the guide prepared of these frames, where that is known.

    Returns:
        z, ``(*K, B, T, Z)``, and its rollout.
    """
    guide = net.guide if guide is None else guide
    assert guide is not None, "a model without latents has nothing to infer"
    state = net.initial_state(batch_shape) if state is None else state
    features_x = net.phi_x(x)
    if not guide.reads_state and not guide.reads_prior:
        how = _infer_at_once
    else:
        how = _infer_in_turn if net.recurrence.reads_z else _infer_given_h
    return how(net, guide, x, mask, state, features_x, eps, prepared)


def _infer_in_turn(
    net: VRNN,
    guide: Guide,
    x: Tensor,
    mask: Tensor,
    first: State,
    features_x: Tensor,
    eps: Tensor | None,
    prepared: Tensor | None,
) -> tuple[Tensor, Rollout]:
    """The loop over time of the paper: each z_t is drawn given h_{t-1}, which has read every z before it."""
    state = first
    prepared = guide.prepare(features_x, mask)[0] if prepared is None else prepared
    steps = zip(prepared.unbind(-2), net.recurrence.prepare(features_x).unbind(-2), _unbound(eps, mask), strict=True)
    zs, features_zs, qs, hs = _lists(4)
    for prepared_t, driven_t, eps_t in steps:
        q_t = guide(prepared_t, state, partial(_prior, net, state))
        z_t = draw(q_t, eps_t)
        features_z = net.features_z(z_t)
        for items, item in zip((zs, features_zs, qs, hs), (z_t, features_z, q_t, state.h), strict=True):
            items.append(item)
        state = net.advance(driven_t, z_t, features_z, state)
    z = torch.stack(zs, -2)
    states = State(torch.stack(hs, -2), before(first.z, z))
    return z, Rollout(net, x, mask, states, torch.stack(features_zs, -2), state, over_time(qs[0], qs))


def _infer_at_once(
    net: VRNN,
    guide: Guide,
    x: Tensor,
    mask: Tensor,
    first: State,
    features_x: Tensor,
    eps: Tensor | None,
    prepared: Tensor | None,
) -> tuple[Tensor, Rollout]:
    """A guide that reads no past of z (STORN) is drawn from for all steps at once."""
    if prepared is None:
        prepared = _prepare_given_h(guide, features_x, mask, net.h_without_z(features_x, first))
    q = guide(prepared, first, partial(_prior, net, first)).expand((*first.h.shape[:-1], x.shape[-2]))
    z = draw(q, eps)
    rollout = follow(net, x, mask, z, first, features_x)
    rollout.q = q
    return z, rollout


def _infer_given_h(
    net: VRNN,
    guide: Guide,
    x: Tensor,
    mask: Tensor,
    first: State,
    features_x: Tensor,
    eps: Tensor | None,
    prepared: Tensor | None,
) -> tuple[Tensor, Rollout]:
    """Where the recurrence reads no z (SRNN) all h come first, and the loop holds the guide alone."""
    after, last_h, memory = net.run_without_z(features_x, first)
    h = before(first.h, after)
    prepared = _prepare_given_h(guide, features_x, mask, h) if prepared is None else prepared
    z_t, zs, qs = first.z, [], []
    for prepared_t, h_t, eps_t in zip(prepared.unbind(-2), h.unbind(-2), _unbound(eps, mask), strict=True):
        past = State(h_t, z_t)
        q_t = guide(prepared_t, past, partial(_prior, net, past))
        z_t = draw(q_t, eps_t)
        zs.append(z_t)
        qs.append(q_t)
    z = torch.stack(zs, -2)
    states, last = State(h, before(first.z, z)), State(last_h, z_t, memory)
    return z, Rollout(net, x, mask, states, net.features_z(z), last, over_time(qs[0], qs))


def _prepare_given_h(guide: Guide, features_x: Tensor, mask: Tensor, h: Tensor | None) -> Tensor:
    return guide.prepare(features_x if h is None else features_x.expand(*h.shape[:-1], -1), mask, h)[0]


def _unbound(eps: Tensor | None, mask: Tensor) -> Sequence[Tensor | None]:
    return [None] * mask.shape[-1] if eps is None else eps.unbind(-2)


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


def _lists(count: int) -> tuple[list[Any], ...]:
    return tuple([] for _ in range(count))
