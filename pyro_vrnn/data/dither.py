"""Uniform noise that makes densities of integers bounds on their probabilities."""

from typing import NamedTuple

import numpy as np

from ..randomness import Purpose, Streams


class Dither(NamedTuple):
    r"""Noise :math:`u \sim U(-\tfrac12, \tfrac12)` in steps of an integer grid, added to every sample.

    For integers n and any density f, :math:`E_u \log f(n + u) \le \log \int_{-1/2}^{1/2} f(n + u)\,du` (Jensen), and
    the integral is a probability of n: what is scored with noise is below it in expectation (Theis et al. 2016,
    Sec. 3.1). Standardised values are float32, which have hundreds of values in a step of 16 bits, but for loud samples
    only a few in one of 24: there the noise is coarser than said.

    Args:
        seed: The seed of the run.
        lsb: Amplitude of one step.
        positions: The sequences' positions in their part; a slice of a part keeps its noise.
    """

    seed: int
    lsb: float
    positions: range

    def noise(self, index: int, start: int, stop: int, width: int, *, draw: int) -> np.ndarray:
        """Amplitudes to add to the frames from `start` to `stop` of a sequence, float64, `(stop - start, width)`.

        A function of seed, position, draw and frame alone: pieces are those of the whole.
        """
        draws, steps = range(draw, draw + 1), range(start, stop)
        uniform = Streams(self.seed, Purpose.DITHER).uniform([self.positions[index]], draws, steps, width)
        return (uniform[0, 0].astype(np.float64) - 0.5) * self.lsb
