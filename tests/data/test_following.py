import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyro_vrnn.data import (
    Joined,
    Normaliser,
    Sequences,
    followed_shares,
    groups,
    number_of_batches,
    plan_followed,
    runs,
)

FRAME = 3


def segments(counts: list[int], last: list[int] | None = None, each: int = 4) -> Sequences:
    """Recordings of so many segments of four frames, of which the last has so many; values say which frame it is."""
    last = [each] * len(counts) if last is None else last
    frames, recordings = [], []
    for recording, (count, end) in enumerate(zip(counts, last, strict=True)):
        for k in range(count):
            frames.append(np.full((end if k == count - 1 else each, FRAME), 100.0 * recording + k, np.float32))
            recordings.append(recording)
    names = [f"{i}" for i in range(len(frames))]
    return Sequences(
        frames, names, None, frame=FRAME, sample_rate=10, normaliser=Normaliser(0.0, 1.0), recordings=recordings
    )


@st.composite
def corpora(draw) -> Sequences:
    counts = draw(st.lists(st.integers(1, 9), min_size=1, max_size=6))
    return segments(counts, [draw(st.integers(1, 4)) for _ in counts])


@settings(deadline=None)
@given(corpora(), st.integers(1, 8), st.integers(1, 6), st.integers(0, 99))
def test_every_sequence_is_there_once_and_follows_its_predecessor_unless_it_begins_anew(corpus, rows, carry, shuffle):
    planned, resets = plan_followed(corpus, rows, carry, shuffle=shuffle)
    there = planned >= 0
    assert sorted(planned[there].tolist()) == list(range(len(corpus)))
    assert len(planned) == number_of_batches(corpus, rows)
    assert planned.shape == resets.shape == (len(planned), min(rows, len(corpus)))
    assert resets[0].all()
    assert resets[~there].all()
    gone_on = np.argwhere(~resets)
    since = np.ones(planned.shape[1], int)
    for batch in range(1, len(planned)):
        since = np.where(resets[batch], 1, since + 1)
        assert (since <= carry).all()
    for batch, row in gone_on:
        now, before = planned[batch, row], planned[batch - 1, row]
        assert now == before + 1
        assert corpus.recordings[now] == corpus.recordings[before]
        assert corpus.lengths[before] == corpus.lengths.max()


def test_resets_are_at_the_beginning_of_a_recording_after_every_so_many_segments_and_nowhere_else_but_at_a_row():
    corpus = segments([20, 1, 7])
    planned, resets = plan_followed(corpus, 1, 4, shuffle=3)
    line = planned[:, 0].tolist()
    for place, (index, anew) in enumerate(zip(line, resets[:, 0], strict=True)):
        if place and not anew:
            assert index == line[place - 1] + 1
    starts = [index for index, anew in zip(line, resets[:, 0], strict=True) if anew]
    of_long = sorted(index for index in starts if index < 20)
    assert of_long[0] == 0
    assert np.diff(of_long)[1:].tolist() == [4] * (len(of_long) - 2)  # after the offset, every four
    assert 20 in starts
    assert 21 in starts


def test_the_plan_is_a_function_of_seed_and_epoch_and_offsets_change():
    corpus = segments([12, 12])
    first, again, other = (plan_followed(corpus, 3, 4, shuffle=seed) for seed in (5, 5, 6))
    assert np.array_equal(first.sequences, again.sequences)
    assert np.array_equal(first.resets, again.resets)
    assert not np.array_equal(first.sequences, other.sequences)
    offsets = set()
    for seed in range(40):
        planned, resets = plan_followed(corpus, 1, 4, shuffle=seed)
        offsets.add(min(index for index, anew in zip(planned[:, 0], resets[:, 0], strict=True) if anew and index > 0))
    assert offsets == {1, 2, 3, 4}


@settings(deadline=None)
@given(corpora(), st.integers(1, 6), st.integers(1, 4), st.integers(1, 3), st.integers(0, 9))
def test_rows_stay_with_their_process_and_together_they_are_the_batch(corpus, rows, carry, size, skip):
    plan = plan_followed(corpus, rows, carry, shuffle=1)
    by_rank = [list(followed_shares(corpus, rows, carry, shuffle=1, rank=r, size=size, skip=skip)) for r in range(size)]
    assert {len(shares) for shares in by_rank} == {max(0, len(plan.sequences) - skip)}
    for batch, chosen in enumerate(plan.sequences[skip:]):
        for rank, found in enumerate(shares[batch] for shares in by_rank):
            own = chosen[rank::size]
            assert found.frames == corpus.lengths[chosen[chosen >= 0]].sum()
            assert found.batch.indices.tolist() == own[own >= 0].tolist()
            assert len(found.batch.x) == len(found.resets) == max(1, len(own))
            for row, index in enumerate(own):
                frames = found.batch.x[row][found.batch.mask[row]]
                if index < 0:
                    assert len(frames) == 0
                else:
                    torch.testing.assert_close(frames, torch.from_numpy(corpus[int(index)]), rtol=0, atol=0)
                    assert found.batch.mask[row, : len(frames)].all()
            if len(own):
                assert found.resets.tolist() == plan.resets[batch + skip, rank::size].tolist()


def test_nobody_follows_a_shorter_segment_nor_across_a_slice_with_steps():
    corpus = segments([3, 2], [2, 4])
    assert runs(corpus) == [range(0, 3), range(3, 5)]
    in_the_middle = Sequences(
        [np.zeros((n, FRAME), np.float32) for n in (4, 2, 4)], ["a", "b", "c"], None, frame=FRAME, sample_rate=10,
        normaliser=Normaliser(0.0, 1.0), recordings=[0, 0, 0],
    )  # fmt: skip
    assert runs(in_the_middle) == [range(0, 2), range(2, 3)]
    assert [len(run) for run in runs(corpus[::2])] == [1, 1, 1]
    assert runs(corpus[1:]) == [range(0, 2), range(2, 4)]
    assert runs(corpus[:0]) == []


def test_what_says_nothing_of_recordings_has_as_many_as_sequences():
    alone = Sequences(
        [np.zeros((4, FRAME), np.float32)] * 3, ["a", "b", "c"], None, frame=FRAME, sample_rate=10,
        normaliser=Normaliser(0.0, 1.0),
    )  # fmt: skip
    assert runs(alone) == [range(0, 1), range(1, 2), range(2, 3)]
    assert plan_followed(alone, 2, 4, shuffle=0).resets.all()


@pytest.mark.parametrize(("rows", "carry"), [(0, 4), (4, 0)])
def test_a_plan_needs_a_row_and_a_segment(rows, carry):
    with pytest.raises(ValueError, match="at least 1"):
        plan_followed(segments([3]), rows, carry, shuffle=0)


@settings(deadline=None)
@given(corpora(), st.one_of(st.none(), st.integers(1, 5)), st.integers(0, 40), st.integers(0, 40))
def test_groups_are_read_as_one_sequence(corpus, carry, start, stop):
    among = groups(runs(corpus), carry)
    joined = Joined(corpus, among)
    assert [i for group in among for i in group] == list(range(len(corpus)))
    for index, group in enumerate(among):
        whole = np.concatenate([corpus[i] for i in group])
        assert joined.lengths[index] == len(whole)
        assert np.array_equal(joined.read(index), whole)
        assert np.array_equal(joined.read(index, start, stop), whole[start:stop])
