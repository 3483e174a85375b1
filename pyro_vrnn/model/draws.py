"""Drawing latents, and frames: the guide's posterior draws and the model's joint ones, step after step."""

from functools import partial
from typing import Any, NamedTuple

import pyro
import torch
from torch import Tensor
from torch.distributions import Distribution

from pyro_vrnn.model.densities import draw, drawn_with, over_time
from pyro_vrnn.model.guides import Guide
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.rollout import Rollout, follow
from pyro_vrnn.model.state import Past, State, before, steps_outermost
from pyro_vrnn.model.tempering import tempered
from pyro_vrnn.scan import scan

#: z, the guide's density over time, the states that steps read, phi_z(z), the state after the last step.
_Drawn = tuple[Tensor, Any, State, Tensor, State]


class Reading(NamedTuple):
    """What of x is known before any latent is drawn; particles share it.

    Attributes:
        features_x: phi_x(x), ``(B, T, F)``.
        prepared: What the guide prepared of it, ``(B, T, P)``.
        ran: Where the recurrence reads no z: h_0..h_{T-1}, and h and memory after the last step; else None.
    """

    features_x: Tensor
    prepared: Tensor
    ran: tuple[Tensor, Tensor, tuple[Tensor, ...]] | None


def read(
    net: VRNN, guide: Guide, x: Tensor, mask: Tensor, state: State | None = None, memory: Any = None
) -> tuple[Reading, Any]:
    """Reads a batch of sequences, or a piece of a long one.

    Args:
        net: The parts.
        guide: Whose eyes they are.
        x: Frames, ``(B, T, X)``.
        mask: True for frames, False for padding, ``(B, T)``.
        state: The state before the first step, of which h matters where the recurrence reads no z; None for h_0 = 0.
            Particles share it: h is the same for all of them there, and that of the first is read.
        memory: As :meth:`~pyro_vrnn.model.guides.Guide.prepare` wants it.

    Returns:
        What was read, and the memory for the neighbouring piece.
    """
    features_x = net.phi_x(steps_outermost(x))
    ran = net.ran_without_z(features_x, None if state is None else of_one_particle(state, features_x.ndim - 1))
    h = None if ran is None else ran[0]
    prepared, memory = guide.prepare(features_x if h is None else features_x.expand(*h.shape[:-1], -1), mask, h, memory)
    return Reading(features_x, prepared, ran), memory


def infer(
    net: VRNN,
    x: Tensor,
    mask: Tensor,
    batch_shape: torch.Size | tuple[int, ...],
    *,
    guide: Guide | None = None,
    past: Past | None = None,
    eps: Tensor | None = None,
    reading: Reading | None = None,
) -> tuple[Tensor, Rollout]:
    """Draws z ~ q(z | x) (Eq. 10) by the guide, reparameterised, one step after the other where it must be.

    Args:
        net: The parts.
        x: Frames, ``(B, T, X)``.
        mask: True for frames, False for padding, ``(B, T)``.
        batch_shape: ``(*K, B)``: particles in front.
        guide: Drawn from instead of the net's own.
        past: What the first step goes on from; None for h_0 = 0.
        eps: Standard normal noise that the draws are made of, ``(*K, B, T, Z)``; None draws it too.
        reading: What :func:`read` gives for these frames, where that is known.

    Returns:
        z, ``(*K, B, T, Z)``, and its rollout.
    """
    guide = net.guide if guide is None else guide
    assert guide is not None, "a model without latents has nothing to infer"
    first, memory = Past(net.initial_state(batch_shape)) if past is None else past
    first = first.expand(batch_shape)
    after = None
    if reading is None:
        # The memory of a guide that reads the future is of what comes after these steps: it ends with them.
        reading, after = read(net, guide, x, mask, first, None if guide.reads_future else memory)
        after = None if guide.reads_future else after
    if guide.reads_state or guide.reads_prior:
        z, q, states, features_z, last = (_in_turn if reading.ran is None else _given_h)(
            net, guide, reading, first, eps
        )
        return z, Rollout(net, x, mask, states, features_z, last, q, past, after)
    q = guide(reading.prepared, first, partial(_prior, net, first)).expand((*batch_shape, x.shape[-2]))
    z = draw(q, eps)
    rollout = follow(net, x, mask, z, past, reading.features_x)
    rollout.q, rollout.after = q, after
    return z, rollout


def _in_turn(net: VRNN, guide: Guide, reading: Reading, first: State, eps: Tensor | None) -> _Drawn:
    """The loop over time of the paper: each z_t is drawn given h_{t-1}, which has read every z before it."""
    seen: list[Distribution] = []

    def step(carry: tuple[Tensor, ...], row: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        h, z, *memory = carry
        state = State(h, z, tuple(memory))
        prepared_t, driven_t, *noise = row
        q_t = guide(prepared_t, state, partial(_prior, net, state))
        z_t = draw(q_t, noise[0] if noise else None)
        seen.append(q_t)
        features_z = net.features_z(z_t)
        after = net.advance(driven_t, z_t, features_z, state)
        return (after.h, z_t, *after.memory), (z_t, features_z, *drawn_with(q_t, z_t))

    rows = (reading.prepared, net.recurrence.prepare(reading.features_x), *(() if eps is None else (eps,)))
    carry = (first.h, first.z, *first.memory)
    (last_h, last_z, *memory), (h, z_before, *_), (z, features_z, *known) = scan(
        step, carry, rows, **_loop_of(net, guide)
    )
    return z, over_time(seen, z, known), State(h, z_before), features_z, State(last_h, last_z, tuple(memory))


def _given_h(net: VRNN, guide: Guide, reading: Reading, first: State, eps: Tensor | None) -> _Drawn:
    """Where the recurrence reads no z (SRNN) all h come first, and the loop holds the guide alone."""
    assert reading.ran is not None
    h, last_h, memory = reading.ran
    batch_shape = first.z.shape[:-1]
    h = h.expand(*batch_shape, *h.shape[-2:])
    seen: list[Distribution] = []

    def step(carry: tuple[Tensor, ...], row: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        prepared_t, h_t, *noise = row
        past = State(h_t, carry[0])
        q_t = guide(prepared_t, past, partial(_prior, net, past))
        z_t = draw(q_t, noise[0] if noise else None)
        seen.append(q_t)
        return (z_t,), (z_t, *drawn_with(q_t, z_t))

    rows = (reading.prepared, h, *(() if eps is None else (eps,)))
    (last_z,), (z_before,), (z, *known) = scan(step, (first.z,), rows, **_loop_of(net, guide))
    last = State(last_h.expand_as(first.h), last_z, tuple(private.expand_as(first.h) for private in memory))
    return z, over_time(seen, z, known), State(h, z_before), net.features_z(z), last


def _loop_of(net: VRNN, guide: Guide) -> dict[str, Any]:
    """Whose loop it is; validation asks for values at every step, which a recorded loop does not give."""
    return {"owner": net, "key": type(guide), "record": not pyro.settings.get("validate_distributions_torch")}


class Joint(NamedTuple):
    """A step drawn from the model.

    Attributes:
        x: The frame, ``(*B, X)``.
        z: Its latent, ``(*B, Z)``.
        features_x: phi_x(x_t), ``(*B, F)``.
        features_z: phi_z(z_t), ``(*B, G)``.
        p: The prior's density; None without latents, or where z was given.
        emission: The emission's density.
        drawn_from: The same with its temperature, from which x was drawn.
        after: The state after the step.
    """

    x: Tensor
    z: Tensor
    features_x: Tensor
    features_z: Tensor
    p: Any
    emission: Any
    drawn_from: Any
    after: State


def joint_step(
    net: VRNN, state: State, z: Tensor | None = None, temperature_z: float = 1.0, temperature_x: float = 1.0
) -> Joint:
    """Draws z_t from the prior and x_t from the emission (Eqs. 5 and 6), and reads x_t (Eq. 7).

    Args:
        net: The parts.
        state: That of step t - 1, with batch ``(*B,)``.
        z: z_t where it is known, ``(*B, Z)``.
        temperature_z: Of the prior (:func:`~pyro_vrnn.model.tempering.tempered`).
        temperature_x: Of the emission.
    """
    p = None if z is not None or net.prior is None else net.prior(state)
    if z is None:
        z = state.z if p is None else tempered(p, temperature_z).sample()
    features_z = net.features_z(z)
    emission = net.emit(features_z, state)
    drawn_from = tempered(emission, temperature_x)
    x = drawn_from.sample()
    features_x = net.phi_x(x)
    after = net.advance(net.recurrence.prepare(features_x), z, features_z, state)
    return Joint(x, z, features_x, features_z, p, emission, drawn_from, after)


def generate(
    net: VRNN,
    mask: Tensor,
    batch_shape: torch.Size | tuple[int, ...],
    *,
    z: Tensor | None = None,
    past: Past | None = None,
) -> tuple[Tensor, Tensor, Rollout]:
    """Draws x and z from the joint density (Eqs. 5 to 8), feeding x back.

    Args:
        net: The parts.
        mask: Says how many frames, ``(B, T)``.
        batch_shape: ``(*K, B)``: particles in front.
        z: Latents to hold fixed, ``(*K, B, T, Z)``; None draws them from the prior.
        past: What the first step goes on from; None for h_0 = 0.

    Returns:
        x, ``(*K, B, T, X)``; z, ``(*K, B, T, Z)``; and their rollout.
    """
    state = first = net.initial_state(batch_shape) if past is None else past.state.expand(batch_shape)
    xs, zs, features_zs, hs = _lists(4)
    for t in range(mask.shape[-1]):
        step = joint_step(net, state, None if z is None else z[..., t, :])
        for items, item in zip((xs, zs, features_zs, hs), (step.x, step.z, step.features_z, state.h), strict=True):
            items.append(item)
        state = step.after
    x, z = torch.stack(xs, -2), torch.stack(zs, -2)
    states = State(torch.stack(hs, -2), before(first.z, z))
    return x, z, Rollout(net, x, mask, states, torch.stack(features_zs, -2), state, past=past)


def _prior(net: VRNN, state: State) -> Distribution:
    assert net.prior is not None
    return net.prior(state)


def of_one_particle(state: State, ndim: int) -> State:
    """The first particle's, ``(*K, B, H)`` to ``(B, H)``."""
    first = (0,) * (state.h.ndim - ndim)
    return State(state.h[first], state.z[first], tuple(private[first] for private in state.memory))


def _lists(count: int) -> tuple[list[Any], ...]:
    return tuple([] for _ in range(count))
