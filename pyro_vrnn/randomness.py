"""Random numbers indexed by what they are for, so that no way of cutting up the work changes them."""

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Steps whose numbers one counter begins: a later step costs the numbers of at most so many before it.
BLOCK = 64


class Purpose(IntEnum):
    """What numbers are for; those of one purpose are independent of those of another."""

    LATENTS = 0
    RESAMPLING = 1
    DITHER = 2


class Streams:
    """Numbers of a purpose, a function of seed, sequence, particle and step alone.

    They come from Philox (Salmon et al. 2011), a generator that is keyed by seed and sequence and whose counter starts
    at any particle and block of steps: numbers of part of the work are those of the whole.

    Args:
        seed: The seed of the run, from 0 to 2**64 - 1.
        purpose: What they are for.
    """

    def __init__(self, seed: int, purpose: Purpose) -> None:
        self.seed, self.purpose = seed, purpose
        self._philox = np.random.Philox(0)
        self._generator = np.random.Generator(self._philox)

    def normal(self, sequences: Sequence[int], particles: range, steps: range, width: int) -> NDArray[np.float32]:
        """Standard normal numbers, ``(len(particles), len(sequences), len(steps), width)``."""
        return self._fill(self._generator.standard_normal, sequences, particles, steps, width)

    def uniform(self, sequences: Sequence[int], particles: range, steps: range, width: int) -> NDArray[np.float32]:
        """Numbers uniform in [0, 1), ``(len(particles), len(sequences), len(steps), width)``."""
        return self._fill(self._generator.random, sequences, particles, steps, width)

    def _fill(
        self, draw: Any, sequences: Iterable[int], particles: range, steps: range, width: int
    ) -> NDArray[np.float32]:
        sequences = list(sequences)
        filled = np.empty((len(particles), len(sequences), len(steps), width), np.float32)
        for k, particle in enumerate(particles):
            for row, sequence in enumerate(sequences):
                for block in range(steps.start // BLOCK, -(-steps.stop // BLOCK)):
                    begin, first = block * BLOCK, max(steps.start, block * BLOCK)
                    end = min(steps.stop, begin + BLOCK)
                    self._begin(sequence, particle, block)
                    drawn = draw((end - begin, width), dtype=np.float32)
                    filled[k, row, first - steps.start : end - steps.start] = drawn[first - begin :]
        return filled

    def _begin(self, sequence: int, particle: int, block: int) -> None:
        self._philox.state = {
            "bit_generator": "Philox",
            "state": {
                "counter": np.array([0, block, particle, int(self.purpose)], np.uint64),
                "key": np.array([self.seed, sequence], np.uint64),
            },
            "buffer": np.zeros(4, np.uint64),
            "buffer_pos": 4,
            "has_uint32": 0,
            "uinteger": 0,
        }
