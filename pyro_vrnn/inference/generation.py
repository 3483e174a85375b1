"""What a model makes by itself, and of latents that it is given: pieces of any length, in memory that does not grow."""

from collections.abc import Iterable, Iterator
from itertools import count as counting
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.inference.encode import Silence
from pyro_vrnn.inference.estimators import evaluating
from pyro_vrnn.inference.noise import Noise
from pyro_vrnn.inference.pieces import PIECE, Frames, Pieces, spans
from pyro_vrnn.model.draws import infer
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.state import Past
from pyro_vrnn.model.stream import Frame, Stream
from pyro_vrnn.model.tempering import written_mean


class Generated(NamedTuple):
    """Successive steps, standardised.

    Attributes:
        x: Frames as they were drawn and fed back, ``(B, t, X)``.
        mean: The means of the densities they were drawn from, ``(B, t, X)``.
        z: Latents, ``(B, t, Z)``.
        log_prior: log p(z_t | x_<t, z_<t) in nats, without temperature, ``(B, t)``; 0 without latents.
        log_emission: log p(x_t | z_<=t, x_<t) in nats, without temperature, ``(B, t)``.
    """

    x: Tensor
    mean: Tensor
    z: Tensor
    log_prior: Tensor
    log_emission: Tensor


def generate(
    net: VRNN,
    frames: int,
    count: int,
    *,
    seed: int = 0,
    past: Past | None = None,
    temperature_z: float = 1.0,
    temperature_x: float = 1.0,
) -> Iterator[Generated]:
    """Draws sequences from the joint density (Eqs. 5 to 8), x fed back, side by side.

    Args:
        net: The parts.
        frames: T, of each.
        count: B.
        seed: Of the draws, which leave the caller's random state alone. On another device the same seed draws others.
        past: What they go on from, with batch ``(1,)`` or ``(B,)``; None for h_0 = 0.
        temperature_z: Of the prior.
        temperature_x: Of the emission.

    Yields:
        At most :data:`~pyro_vrnn.inference.pieces.PIECE` successive steps of all of them.
    """
    stream = Stream(net, (count,), past=_wide(past, count), temperature_z=temperature_z, temperature_x=temperature_x)
    return _pieces(stream, None, frames, seed)


def along(net: VRNN, z: Tensor, *, seed: int = 0, past: Past | None = None) -> Iterator[Generated]:
    """As :func:`generate`, but with given latents, ``(B, T, Z)``: x alone is drawn, and fed back.

    Raises:
        ConfigurationError: If the model has no latents.
    """
    _has_latents(net)
    return _pieces(Stream(net, z.shape[:1], past=_wide(past, len(z))), z, z.shape[-2], seed)


def prime(net: VRNN, x: Frames, *, seed: int = 0) -> Past:
    """Where a model stands after it has read a recording, its latents drawn from the guide.

    A guide that reads the future reads the whole recording, and nothing after it.

    Args:
        net: The parts.
        x: Frames, ``(1, T, X)``, standardised.
        seed: Of the latents.
    """
    mask, noise = torch.ones(x.shape[:2], dtype=torch.bool), Noise(seed, range(x.shape[0]))
    like = next(net.parameters())
    past = Past(net.initial_state((x.shape[0],)))
    with torch.no_grad(), evaluating(net, seed):
        if net.guide is None:
            for _, rollout in Pieces(net, x, mask).follow():
                past = Past(rollout.last)
        elif net.guide.reads_future:
            for _, _, rollout in Pieces(net, x, mask).infer(noise=noise):
                past = Past(rollout.last)
        else:
            for steps in spans(mask.shape[-1], net.guide.block):
                where = slice(steps.start, steps.stop)
                eps = noise.normal(range(1), steps, net.dims.z, like)[0]
                piece, own = x[:, where].to(like), mask[:, where].to(like.device)
                past = infer(net, piece, own, (x.shape[0],), past=past, eps=eps)[1].left
    return past


def reconstruct(net: VRNN, x: Frames, *, seed: int = 0) -> Iterator[Generated]:
    """A recording through its latents: the guide's path of means, and the emission given it and the real frames before.

    The path is that of :func:`~pyro_vrnn.inference.encode.encode`; a guide whose family follows no given noise (a flow)
    draws its own. ``mean`` is the reconstruction, ``x`` a draw around it; the log-densities are those of the recording.

    Args:
        net: The parts.
        x: Frames, ``(1, T, X)``, standardised.
        seed: Of the draws.

    Raises:
        ConfigurationError: If the model has no latents.
    """
    _has_latents(net)
    mask = torch.ones(x.shape[:2], dtype=torch.bool)

    def steps() -> Iterator[Generated]:
        for _, z, rollout in Pieces(net, x, mask).infer(noise=Silence(seed, range(x.shape[0]))):
            drawn = rollout.emission.sample()
            mean = written_mean(rollout.emission, drawn)
            yield Generated(drawn, mean, z, rollout.log_prior(z), rollout.log_emission)

    return _silently(net, steps(), seed)


def interpolate(net: VRNN, x: Frames, other: Frames, *, count: int = 5, seed: int = 0) -> Iterator[Generated]:
    """From one recording's latents to another's, step by step along straight lines: x is drawn anew, and fed back.

    Args:
        net: The parts.
        x: Frames, ``(1, T, X)``, standardised.
        other: Those of the other; the longer one is cut.
        count: B, from the first to the other, both among them; at least 2.
        seed: Of the draws.

    Raises:
        ConfigurationError: If the model has no latents, or there are fewer than 2.
    """
    if count < 2:
        raise ConfigurationError(f"interpolation in {count} steps: expected 2 or more, both ends among them")
    T = min(x.shape[1], other.shape[1])
    first, last = (latents(net, a, seed=seed)[:, :T] for a in (x, other))
    share = torch.linspace(0, 1, count).to(first).reshape(-1, 1, 1)
    return along(net, torch.lerp(first, last, share), seed=seed)


def hold(net: VRNN, x: Frames, frames: int, *, count: int = 1, seed: int = 0) -> Iterator[Generated]:
    """One latent for ever: that of the recording's middle frame (its path of means), while x is drawn and fed back.

    Args:
        net: The parts.
        x: Frames of a recording, ``(1, T, X)``, standardised.
        frames: How long.
        count: B, with the same latent.
        seed: Of the draws.

    Raises:
        ConfigurationError: If the model has no latents.
    """
    z = latents(net, x, seed=seed)
    middle = z.shape[1] // 2
    return along(net, z[:, middle : middle + 1].expand(count, frames, -1), seed=seed)


def latents(net: VRNN, x: Frames, *, seed: int = 0) -> Tensor:
    """The path of means of :func:`reconstruct`, ``(1, T, Z)``."""
    return torch.cat([piece.z for piece in reconstruct(net, x, seed=seed)], -2)


def together(pieces: Iterable[Generated]) -> Generated:
    """Pieces as one, of all steps."""
    x, mean, z, *logs = zip(*pieces, strict=True)
    vectors = (torch.cat(items, -2) for items in (x, mean, z))
    return Generated(*vectors, *(torch.cat(items, -1) for items in logs))


def _pieces(stream: Stream, z: Tensor | None, frames: int, seed: int) -> Iterator[Generated]:
    def steps() -> Iterator[Generated]:
        for start in range(0, frames, PIECE):
            each = range(start, min(start + PIECE, frames))
            made: list[Frame] = [stream.step(None if z is None else z[:, t]) for t in each]
            x, mean, latent, *logs = zip(*made, strict=True)
            vectors = (torch.stack(items, 1) for items in (x, mean, latent))
            yield Generated(*vectors, *(torch.stack(items, 1) for items in logs))

    return _silently(stream.net, steps(), seed)


def _silently(net: VRNN, pieces: Iterator[Generated], seed: int) -> Iterator[Generated]:
    """The same pieces, each drawn from a random state of its own; the caller's is left alone."""
    for i in counting():
        own = int(np.random.SeedSequence((seed, i)).generate_state(1)[0])
        with torch.no_grad(), evaluating(net, own):
            piece = next(pieces, None)
        if piece is None:
            return
        yield piece


def _wide(past: Past | None, count: int) -> Past | None:
    def widened(a: Tensor) -> Tensor:
        return a.expand(*a.shape[:-2], count, a.shape[-1]).contiguous()

    return None if past is None else past.each(widened)


def _has_latents(net: VRNN) -> None:
    if not net.has_latents:
        raise ConfigurationError("this model has no latents; choose one that has, such as vrnn-gauss")
