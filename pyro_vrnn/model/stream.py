"""A model that runs frame by frame: it generates, or reads what really comes, and goes on from there."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.model.draws import infer, joint_step
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.rollout import follow
from pyro_vrnn.model.state import Past
from pyro_vrnn.model.tempering import check_temperature, written_mean


class Frame(NamedTuple):
    """One step, standardised.

    Attributes:
        x: The frame that was drawn or fed, which the state has read, ``(*B, X)``.
        mean: The mean of the density it was drawn from (:func:`~pyro_vrnn.model.tempering.written_mean`), ``(*B, X)``.
        z: Its latent, ``(*B, Z)``.
        log_prior: log p(z_t | x_<t, z_<t) in nats, without temperature, ``(*B,)``; 0 without latents.
        log_emission: log p(x_t | z_<=t, x_<t) in nats, without temperature, ``(*B,)``.
    """

    x: Tensor
    mean: Tensor
    z: Tensor
    log_prior: Tensor
    log_emission: Tensor


class Stream(Iterator[Frame]):
    r"""Draws from :math:`p(x_t, z_t \mid x_{<t}, z_{<t})` (Eqs. 5 to 8), a step at a time and without end.

    The step is the one that is trained: the log-densities add up to what scoring the same x and z gives. Draws are made
    of torch's random state; no gradients are kept.

    Args:
        net: The parts.
        batch_shape: Of the sequences that run side by side, ``(*B,)``.
        past: What the first step goes on from; None for h_0 = 0.
        temperature_z: Of the prior (:func:`~pyro_vrnn.model.tempering.tempered`).
        temperature_x: Of the emission.

    Raises:
        ConfigurationError: If a temperature is not positive.
    """

    def __init__(
        self,
        net: VRNN,
        batch_shape: torch.Size | tuple[int, ...] = (),
        *,
        past: Past | None = None,
        temperature_z: float = 1.0,
        temperature_x: float = 1.0,
    ) -> None:
        for name, temperature in (("temperature_z", temperature_z), ("temperature_x", temperature_x)):
            check_temperature(name, temperature)
        self.net, self.batch_shape = net, tuple(batch_shape)
        self.temperature_z, self.temperature_x = temperature_z, temperature_x
        state, memory = Past(net.initial_state(self.batch_shape)) if past is None else past
        self._state, self._memory = state.expand(self.batch_shape), memory

    @property
    def past(self) -> Past:
        """Where it stands: what another stream, or a segment, can go on from."""
        return Past(self._state, self._memory)

    def __next__(self) -> Frame:
        """Draws the next frame from the model and reads it."""
        return self.step()

    @torch.no_grad()
    def step(self, z: Tensor | None = None) -> Frame:
        """Draws the next frame, given its latent ``(*B, Z)`` or with z from the prior, and reads it."""
        before = self._state
        step = joint_step(self.net, before, z, self.temperature_z, self.temperature_x)
        if self._guide_remembers:
            self._read_by_guide(step.features_x)
        self._state = step.after
        log_prior = step.x.new_zeros(self.batch_shape)
        if self.net.prior is not None:
            p = self.net.prior(before) if step.p is None else step.p
            log_prior = p.log_prob(step.z)
        log_emission = step.emission.log_prob(step.x)
        return Frame(step.x, written_mean(step.drawn_from, step.x), step.z, log_prior, log_emission)

    @torch.no_grad()
    def feed(self, x: Tensor) -> Frame:
        """Reads a real frame, ``(*B, X)``, standardised; its latent is drawn from the guide.

        A guide that reads the future sees this frame as the last there is: nothing that comes later changes its latent.
        To have it see all of a recording, read that with :func:`pyro_vrnn.inference.generation.prime`.

        Raises:
            ConfigurationError: If the frame has another shape, or the guide takes several steps at once.
        """
        shape = (*self.batch_shape, self.net.dims.x)
        if x.shape != shape:
            raise ConfigurationError(f"feed: a frame of shape {tuple(x.shape)}; expected {shape}")
        if self.net.guide is not None and self.net.guide.block > 1:
            raise ConfigurationError(
                f"feed: the guide {type(self.net.guide).__name__} reads {self.net.guide.block} frames at once; read a"
                " recording with pyro_vrnn.inference.generation.prime"
            )
        row, mask = x.to(self._state.h).unsqueeze(-2), self._one_step(x)
        if self.net.guide is None:
            z = self._state.z.unsqueeze(-2)
            rollout = follow(self.net, row, mask, z, self.past)
        else:
            z, rollout = infer(self.net, row, mask, self.batch_shape, past=self.past)
        log_prior = rollout.log_prior(z)[..., 0] if self.net.has_latents else row.new_zeros(self.batch_shape)
        mean = written_mean(rollout.emission, row)[..., 0, :]
        self._state, self._memory = rollout.left
        return Frame(row[..., 0, :], mean, z[..., 0, :], log_prior, rollout.log_emission[..., 0])

    @property
    def _guide_remembers(self) -> bool:
        """Whether the guide must read generated frames, too, to be ready for those that are fed."""
        guide = self.net.guide
        return guide is not None and not guide.reads_future and guide.block == 1

    def _read_by_guide(self, features_x: Tensor) -> None:
        assert self.net.guide is not None
        h = None if self.net.recurrence.reads_z else self._state.h.unsqueeze(-2)
        mask = self._one_step(features_x)
        _, self._memory = self.net.guide.prepare(features_x.unsqueeze(-2), mask, h, self._memory)

    def _one_step(self, like: Tensor) -> Any:
        return torch.ones((*self.batch_shape, 1), dtype=torch.bool, device=like.device)
