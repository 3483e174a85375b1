"""Batches hold every sequence once, padded with zeros, beside sequences of similar length."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyro_vrnn.data import LazyFrames, Normaliser, Sequences, batches, number_of_batches, scoring_batches
from pyro_vrnn.data.batches import plan
from pyro_vrnn.data.dither import Dither


def sequences(lengths: list[int], frame: int = 3) -> Sequences:
    generator = np.random.default_rng(0)
    frames = [generator.integers(1, 20000, (n, frame), dtype=np.int16) for n in lengths]
    names = [str(i) for i in range(len(lengths))]
    return Sequences(frames, names, None, frame=frame, sample_rate=8000, normaliser=Normaliser(-0.1, 0.3))


@settings(max_examples=50, deadline=None)
@given(
    lengths=st.lists(st.integers(2, 40), min_size=1, max_size=60),
    size=st.integers(1, 9),
    shuffle=st.none() | st.integers(0, 2**32),
)
def test_every_sequence_once_with_zeros_as_padding(lengths: list[int], size: int, shuffle: int | None) -> None:
    source = sequences(lengths)
    made = list(batches(source, size, shuffle=shuffle))
    assert len(made) == number_of_batches(source, size)
    assert sorted(len(batch.indices) for batch in made)[1:] == [size] * (len(made) - 1)
    assert sorted(torch.cat([batch.indices for batch in made]).tolist()) == list(range(len(lengths)))
    for x, mask, indices in made:
        assert (x.dtype, mask.dtype, indices.dtype) == (torch.float32, torch.bool, torch.int64)
        assert x.shape == (*mask.shape, 3)
        assert mask.sum(dim=1).tolist() == [lengths[i] for i in indices]
        assert x.shape[1] == max(lengths[i] for i in indices)
        assert torch.equal(x != 0, mask[..., None].expand_as(x)), "padding is zero, and nothing else is"
        for row, i in enumerate(indices):
            np.testing.assert_array_equal(x[row, : lengths[i]], source[int(i)])


def test_without_shuffling_batches_are_sorted_by_length() -> None:
    source = sequences(np.random.default_rng(0).integers(2, 99, 50).tolist())
    order = torch.cat([batch.indices for batch in batches(source, 8)])
    assert (np.diff(source.lengths[order]) >= 0).all()
    assert torch.equal(order, torch.cat([batch.indices for batch in batches(source, 8)]))


def test_shuffling_follows_its_seed() -> None:
    lengths = np.random.default_rng(0).integers(2, 400, 300)

    def order(seed: int) -> list[int]:
        return np.concatenate(plan(lengths, 16, shuffle=seed)).tolist()

    assert order(1) == order(1)
    assert len({tuple(order(seed)) for seed in range(5)}) == 5


@pytest.mark.parametrize(("count", "together"), [(300, 0.6), (3000, 0.15)])
def test_shuffled_batches_pad_little_and_mix(count: int, together: float) -> None:
    lengths = np.random.default_rng(0).integers(20, 400, count)
    epochs = [plan(lengths, 16, shuffle=seed) for seed in range(4)]
    for epoch in epochs:
        padded = sum(int(lengths[batch].max()) * len(batch) for batch in epoch)
        assert 1 - lengths.sum() / padded < 0.15
        first = [int(lengths[batch].max()) for batch in epoch]
        assert abs(np.corrcoef(first, np.arange(len(first)))[0, 1]) < 0.6, "batches come in the order of lengths"
    mates = [{(a, b) for batch in epoch for a in batch.tolist() for b in batch.tolist() if a < b} for epoch in epochs]
    assert len(mates[0] & mates[1]) < together * len(mates[0])


def test_a_batch_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="batch_size is 0"):
        batches(sequences([3, 4]), 0)


@settings(max_examples=50, deadline=None)
@given(
    lengths=st.lists(st.integers(2, 40), min_size=1, max_size=40), rows=st.integers(1, 9), longest=st.integers(1, 45)
)
def test_scoring_takes_every_sequence_once_and_long_ones_alone(lengths: list[int], rows: int, longest: int) -> None:
    source = sequences(lengths)
    made = list(scoring_batches(source, rows, longest=longest))
    order = torch.cat([indices for _, _, indices in made])
    assert order.dtype == torch.int64
    assert sorted(order.tolist()) == list(range(len(lengths)))
    assert (np.diff(source.lengths[order.numpy()]) >= 0).all()
    for x, mask, indices in made:
        assert x.shape == (*mask.shape, 3)
        assert (x.dtype, mask.dtype) == (torch.float32, torch.bool)
        assert isinstance(x, LazyFrames) == (lengths[indices[0]] > longest)
        assert len(indices) == len(mask) <= (1 if isinstance(x, LazyFrames) else rows)
        assert mask.sum(dim=1).tolist() == [lengths[i] for i in indices]
        whole = x[:, :] if isinstance(x, LazyFrames) else x
        for row, i in enumerate(indices):
            np.testing.assert_array_equal(whole[row, : lengths[i]], source[int(i)])
    short = sum(n <= longest for n in lengths)
    assert len(made) == -(-short // rows) + len(lengths) - short


@settings(max_examples=100, deadline=None)
@given(start=st.none() | st.integers(-300, 300), stop=st.none() | st.integers(-300, 300), dithered=st.booleans())
def test_lazy_pieces_are_those_of_the_whole(start: int | None, stop: int | None, dithered: bool) -> None:
    source = sequences([4, 250])
    source.dither = Dither(3, 2.0**-15, range(2)) if dithered else None
    ((_, _, _), (lazy, _, _)) = scoring_batches(source, 8, longest=100)
    whole = torch.from_numpy(source[1])[None]
    assert isinstance(lazy, LazyFrames)
    assert lazy.shape == whole.shape
    assert lazy.dtype == whole.dtype
    piece = lazy[:, start:stop]
    assert piece.dtype == torch.float32
    assert torch.equal(piece, whole[:, start:stop])


def test_only_the_piece_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    source = sequences([5000])
    ((lazy, _, _),) = scoring_batches(source, 8)
    seen = []
    monkeypatch.setattr(Sequences, "read", lambda self, *key, **_: seen.append(key) or np.zeros((1, 3), np.float32))
    assert lazy[:, 4990:4999].shape == (1, 1, 3)
    assert seen == [(0, 4990, 4999)]


@pytest.mark.parametrize(
    "key",
    [
        0,
        slice(None),
        (0, slice(0, 3)),
        (slice(0, 1), slice(0, 3)),
        (slice(None), 3),
        (slice(None), slice(0, 9, 2)),
        (slice(None), slice(9, 0, -1)),
        (slice(None), slice(0, 3), slice(None)),
        (slice(None), [1, 2]),
        (slice(None), slice(0.0, 3.0)),
        ...,
        None,
    ],
)
def test_lazy_frames_are_read_in_pieces_only(key: object) -> None:
    ((lazy, _, _),) = scoring_batches(sequences([50]), 8, longest=10)
    with pytest.raises(TypeError, match=r"expected frames\[:, a:b\]|slice indices"):
        lazy[key]  # type: ignore[index]


def test_scoring_no_rows_at_all_is_an_error() -> None:
    with pytest.raises(ValueError, match="batch_size is 0"):
        list(scoring_batches(sequences([3, 4]), 0))
