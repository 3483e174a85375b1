"""Moments seen piece by piece are those of the whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyro_vrnn.data import statistics
from pyro_vrnn.data.statistics import Moments, moments

from .files import noise


@settings(max_examples=50, deadline=None)
@given(lengths=st.lists(st.integers(0, 500), min_size=1, max_size=6), offset=st.floats(-1, 1), seed=st.integers(0, 99))
def test_moments_equal_numpy(lengths: list[int], offset: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    pieces = [np.float32(offset) + generator.standard_normal(n, dtype=np.float32) * np.float32(1e-3) for n in lengths]
    whole = np.concatenate(pieces).astype(np.float64)
    seen = moments(pieces)
    assert seen.number == whole.size
    if whole.size:
        assert seen.mean == pytest.approx(whole.mean(), rel=1e-12, abs=1e-15)
        assert seen.std == pytest.approx(whole.std(), rel=1e-9, abs=1e-15)


def test_integers_count_as_amplitudes_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "PIECE", 777)
    samples = [noise(5000, seed=1).reshape(-1, 100), noise(300, seed=2)]
    whole = np.concatenate([x.ravel() for x in samples]) / 2**15
    seen = moments(samples)
    assert (seen.mean, seen.std) == pytest.approx((whole.mean(), whole.std()), rel=1e-12)


def test_nothing_is_neutral() -> None:
    some = moments([noise(100)])
    assert Moments().merge(Moments()) == Moments()
    assert Moments().merge(some) == some
    assert some.merge(Moments()) == some


def test_a_constant_has_no_spread() -> None:
    assert moments([np.full(12345, 77, np.int16), np.full((9, 9), 77, np.int16)]).squares == 0
