"""Noise that leaves the caller's random state alone."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyro_vrnn.randomness import Purpose, Streams

# Particles of one repetition; those of the next have numbers of their own.
_REPETITION = 2**32


class Noise:
    """The noise of a batch: a function of seed, sequence, particle and step, however the work is cut up.

    Args:
        seed: The seed of the evaluation.
        sequences: The index of each sequence of the batch in its data set, ``(B,)``.
        repetition: Which of several independent evaluations.
    """

    def __init__(self, seed: int, sequences: Sequence[int] | Tensor, repetition: int = 0) -> None:
        self.seed, self.repetition = seed, repetition
        self.sequences = [int(sequence) for sequence in sequences]
        self._latents, self._resampling = (Streams(seed, p) for p in (Purpose.LATENTS, Purpose.RESAMPLING))

    def normal(self, particles: range, steps: range, width: int, like: Tensor) -> Tensor:
        """Standard normal, ``(K, B, T, width)``, of these particles and steps, as ``like`` in dtype and device."""
        first = self.repetition * _REPETITION
        shifted = range(first + particles.start, first + particles.stop)
        return _as(self._latents.normal(self.sequences, shifted, steps, width), like)

    def uniform(self, steps: range, like: Tensor) -> Tensor:
        """Uniform in [0, 1), ``(B, T)``: one number a step for all particles, as ``like`` in dtype and device."""
        only = range(self.repetition, self.repetition + 1)
        return _as(self._resampling.uniform(self.sequences, only, steps, 1)[0, ..., 0], like)

    def of(self, rows: slice) -> "Noise":
        """The noise of some of the sequences."""
        return Noise(self.seed, self.sequences[rows], self.repetition)


def _as(numbers: np.ndarray[Any, Any], like: Tensor) -> Tensor:
    return torch.from_numpy(numbers).to(device=like.device, dtype=like.dtype)


@contextmanager
def own_noise(device: torch.device, seed: int | None = None) -> Iterator[None]:
    """Inside, whatever is drawn on the CPU and this device is forgotten afterwards.

    Args:
        device: Where draws happen.
        seed: To begin with; None goes on from the caller's state.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        if seed is not None:
            torch.manual_seed(seed)
        yield
