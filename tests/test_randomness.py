"""Numbers that are a function of what they are for."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyro_vrnn.randomness import BLOCK, Purpose, Streams

kinds = pytest.mark.parametrize("kind", ["normal", "uniform"])


@kinds
@given(
    cuts=st.lists(st.integers(0, 3 * BLOCK), max_size=4), split=st.integers(0, 5), order=st.permutations([7, 0, 2**40])
)
def test_parts_are_those_of_the_whole(kind, cuts, split, order):
    T = 3 * BLOCK
    whole = getattr(Streams(3, Purpose.RESAMPLING), kind)([0, 7, 2**40], range(5), range(T), 2)
    edges = sorted({0, T, *cuts})
    rows = [[0, 7, 2**40].index(sequence) for sequence in order]
    for particles in (range(split), range(split, 5)):
        for start, stop in itertools.pairwise(edges):
            part = getattr(Streams(3, Purpose.RESAMPLING), kind)(order, particles, range(start, stop), 2)
            assert (part == whole[particles.start : particles.stop, rows, start:stop]).all()


@kinds
@pytest.mark.parametrize("other", [(4, 1, 0, 0), (3, 2, 0, 0), (3, 1, 1, 0), (3, 1, 0, 1)])
def test_every_index_matters(kind, other):
    seed, purpose, sequence, particle = other
    one = getattr(Streams(3, Purpose.RESAMPLING), kind)([0], range(1), range(2 * BLOCK), 3)
    two = getattr(Streams(seed, Purpose(purpose)), kind)([sequence], range(particle, particle + 1), range(2 * BLOCK), 3)
    assert not np.isclose(one, two).any(axis=-1).any()
    assert not np.isclose(one[..., :BLOCK, :], one[..., BLOCK:, :]).any(axis=-1).any(), "blocks of steps too"


def test_moments():
    normal = Streams(0, Purpose.LATENTS).normal(range(50), range(20), range(100), 4).reshape(-1)
    uniform = Streams(0, Purpose.LATENTS).uniform(range(50), range(20), range(100), 4).reshape(-1)
    n = normal.size**0.5
    assert abs(normal.mean()) < 4 / n
    assert abs((normal**2).mean() - 1) < 4 * 2**0.5 / n
    assert abs(uniform.mean() - 0.5) < 4 * 12**-0.5 / n
    assert uniform.min() >= 0
    assert uniform.max() < 1
