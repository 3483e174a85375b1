"""What is found in data, against what was put there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pyro_vrnn.data import Normaliser, Sequences
from pyro_vrnn.data.inspection import Histogram, Inspection, by_itself, inspect, quantity, steps
from pyro_vrnn.data.inspection.sound import SILENCE

LSB = 2.0**-15


def sound(*clips: np.ndarray, frame: int = 4, speakers: list[str] | None = None) -> Sequences:
    names = [f"{i}.wav" for i in range(len(clips))]
    frames = [clip.reshape(-1, frame) for clip in clips]
    return Sequences(frames, names, speakers, frame=frame, sample_rate=8, normaliser=Normaliser(0.0, 0.5))


def pen(*rows: list[tuple[int, int, int]]) -> Sequences:
    stored = [np.array(one, np.int16) for one in rows]
    names = [f"lines#{i}" for i in range(len(rows))]
    normaliser = Normaliser((0.0, 0.0, 0.0), (4.0, 4.0, 1.0))
    return Sequences(stored, names, None, frame=3, sample_rate=None, normaliser=normaliser, kind="pen", step=1.0)


def table(*rows: np.ndarray) -> Sequences:
    D = rows[0].shape[1]
    normaliser = Normaliser((0.0,) * D, (1.0,) * D)
    names = [str(i) for i in range(len(rows))]
    return Sequences(list(rows), names, None, frame=D, sample_rate=None, normaliser=normaliser, kind="arrays", step=1.0)


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float64, st.integers(1, 80), elements=st.floats(-6, 6)),
    st.integers(1, 5),
)
def test_bins_are_those_of_the_whole(values, cuts):
    edges = np.linspace(-4.0, 4.0, 33)
    histogram = Histogram(edges)
    for piece in np.array_split(values, cuts):
        histogram.add(piece)
    # NumPy's last bin is closed; ours is not, as the others.
    inside = values[values < 4.0]
    assert np.array_equal(histogram.inside, np.histogram(inside, edges)[0])
    assert histogram.outside == ((values < -4.0) | (values >= 4.0)).sum()
    found = histogram.quantity("x", "m")
    assert (found.low, found.high, found.number) == (values.min(), values.max(), len(values))
    assert found.mean == pytest.approx(values.mean(), abs=1e-9)
    assert found.low <= found.q05 <= found.median <= found.q95 <= found.high


def test_quantiles_are_right_to_a_bin():
    values = np.random.default_rng(0).normal(size=20_000)
    histogram = Histogram(np.linspace(-3.0, 3.0, 61))
    histogram.add(values)
    for q in (0.01, 0.05, 0.5, 0.95, 0.99):
        assert histogram.quantile(q) == pytest.approx(np.quantile(values, q), abs=0.02)
    assert np.isnan(Histogram([0.0, 1.0]).quantile(0.5))
    assert Histogram([0.0, 1.0]).quantity("", "").number == 0


def test_levels_of_known_sounds():
    square = np.tile(np.array([8192, -8192], np.int16), 20)  # a quarter of full scale
    quiet = np.tile(np.array([1, -1], np.int16), 10)
    found = inspect({"train": sound(square), "test": sound(quiet)}, LSB).findings
    assert found.sequences["level"]["train"].tolist() == [pytest.approx(20 * np.log10(0.25))]
    assert found.sequences["peak"]["test"].tolist() == [pytest.approx(20 * np.log10(LSB))]
    assert found.quantities["frame_level"].number == 15
    assert found.quantities["frame_level"].high == pytest.approx(20 * np.log10(0.25))
    assert found.shares["quiet_frames"].number == 5
    assert found.shares["silent_frames"].number == found.shares["clipped_samples"].number == 0
    assert found.warnings == []


def test_silence_and_clipping_are_counted_and_said():
    clip = np.array([0, 0, 0, 0, 7, 7, 7, 7, 1, 2, 3, 4, 32767, -32768, 5, 32766], np.int16)
    found = inspect({"all": sound(clip)}, LSB).findings
    assert (found.shares["silent_frames"].number, found.shares["silent_frames"].total) == (2, 4)
    assert (found.shares["clipped_samples"].number, found.shares["clipped_samples"].total) == (2, 16)
    assert found.quantities["frame_level"].low == SILENCE
    silent, clipped = found.warnings
    assert silent.startswith("2 of 4 frames are digital silence")
    assert silent.endswith("pass --dither")
    assert "12.50% of all samples are at full scale" in clipped
    assert "no --dither" in inspect({"all": sound(clip)}, LSB, lossless=False).findings.warnings[0]
    floats = sound(np.array([0.0, 0.0, 0.0, 0.0, 1.0, -1.0, 0.99997, 0.5], np.float32))
    assert inspect({"all": floats}, None).findings.shares["clipped_samples"].number == 2


def test_eight_bits_are_clipped_at_their_own_full_scale():
    clip = np.array([127, -128, 126, -127, 0, 1, 2, 3], np.int16) * 256
    assert inspect({"all": sound(clip)}, 2.0**-7).findings.shares["clipped_samples"].number == 2


@pytest.mark.parametrize("size", [4, 12, 1000])
def test_pieces_add_up_to_the_whole(size, monkeypatch):
    generator = np.random.default_rng(1)
    clips = [generator.integers(-9000, 9000, n, dtype=np.int16) for n in (40, 8, 120)]
    clips[2][8:16] = 5
    rows = [np.repeat(generator.normal(size=(n, 3)), 3, axis=0) for n in (10, 1, 6)]
    whole = found(clips, rows)
    monkeypatch.setattr(steps, "PIECE", size)
    again = found(clips, rows)
    assert [one.as_dict() for one in again] == [_close(one.as_dict()) for one in whole]
    for name, histogram in whole[1].findings.histograms.items():
        assert np.array_equal(again[1].findings.histograms[name].counts, histogram.counts), name
    assert whole[1].findings.shares["repeated_rows"].number == 2 * 17


def found(clips, rows) -> tuple[Inspection, Inspection]:
    return inspect({"train": sound(*clips)}, LSB), inspect({"train": table(*rows)}, None)


def _close(numbers):
    """The same numbers, up to the order in which they are added."""
    if isinstance(numbers, dict):
        return {name: _close(number) for name, number in numbers.items()}
    return pytest.approx(numbers) if isinstance(numbers, float) else numbers


def test_strokes_are_cut_where_the_pen_is_lifted():
    one = [(3, 4, 0), (0, 0, 1), (30, 40, 0), (0, -5, 1), (-10, 0, 1)]
    found = inspect({"train": pen(one), "test": pen([(1, 0, 0), (1, 0, 1)])}, 1.0).findings
    assert found.sequences["strokes"]["train"].tolist() == [3]
    assert found.sequences["width"]["train"].tolist() == [33]
    assert found.sequences["height"]["train"].tolist() == [44]
    strokes, lengths = found.quantities["stroke_points"], found.quantities["stroke_length"]
    assert (strokes.low, strokes.high, strokes.number, strokes.mean) == (1, 2, 4, 7 / 4)
    assert (lengths.low, lengths.high, lengths.mean) == (0, 5, 3)  # 5, 5, 0 and 2
    air = found.quantities["moved"]
    assert (air.low, air.high, air.number) == (10, 50, 2)
    assert found.quantities["drawn"].number == 5
    assert found.shares["pen_up"].number == 4
    assert (found.shares["zero_offsets"].number, found.shares["zero_offsets"].total) == (6, 14)
    assert found.shares["still_points"].number == 1
    (warning,) = found.warnings
    assert warning.startswith("42.86% of all offsets are exactly 0")
    assert warning.endswith("pass --dither")


def test_offsets_fall_into_an_image():
    found = inspect({"all": pen([(0, 8, 0), (100, 0, 0), (-2, -2, 1)])}, 1.0).findings
    x, y, counts = found.images["offsets"]
    assert (x[0], x[-1], y[0], y[-1]) == (-16.5, 15.5, -16.5, 15.5)
    assert counts.sum() == 2, "one lies outside"
    i, j = (int(np.searchsorted(edges, at, side="right")) - 1 for edges, at in ((x, 0), (y, 8)))
    assert counts[i, j] == 1


def test_examples_are_drawn_from_all_parts_by_the_seed():
    lines = [[(k, 1, 0), (k, 2, 1)] for k in range(1, 30)]
    parts = {"train": pen(*lines[:20]), "test": pen(*lines[20:])}
    first, again, other = (inspect(parts, 1.0, seed=seed).findings.examples for seed in (0, 0, 1))
    assert len(first) == 6
    assert [name for name, _ in first] == [name for name, _ in again]
    assert [rows.tolist() for _, rows in first] != [rows.tolist() for _, rows in other]
    assert len(inspect({"all": pen(lines[0])}, 1.0).findings.examples) == 1


def test_ranges_and_repeated_rows():
    rows = np.array([[0.0, 5.0], [0.0, 5.0], [1.0, 5.0], [1.0, 6.0]])
    found = inspect({"train": table(rows, rows[:2]), "test": table(rows[2:])}, None).findings
    assert (found.quantities["x0"].low, found.quantities["x0"].high) == (0, 1)
    assert (found.quantities["x1"].low, found.quantities["x1"].mean) == (5, pytest.approx(42 / 8))
    assert (found.shares["repeated_rows"].number, found.shares["repeated_rows"].total) == (2, 8)
    assert found.histograms["step"].number == 10, "no step leads from one sequence to the next"
    assert found.warnings[0].startswith("2 of 8 rows repeat the one before")
    assert "--dither" not in found.warnings[0]
    assert inspect({"train": table(rows)}, 1.0).findings.warnings[0].endswith("pass --dither")


def test_parts_and_their_speakers():
    clip = np.arange(8, dtype=np.int16)
    train = sound(clip, clip, np.tile(clip, 2), speakers=["b", "a", "b"])
    found = inspect({"train": train, "validation": train[:0], "test": sound(clip)}, LSB)
    assert found.parts.keys() == {"train", "test"}
    assert found.parts["train"].speakers == {"b": 6, "a": 2}
    assert found.parts["test"].speakers is None
    assert (found.lengths.unit, found.lengths.low, found.lengths.high) == ("s", 1.0, 2.0)
    described = found.as_dict()
    assert described["parts"]["train"] == {"sequences": 3, "frames": 8, "seconds": 4.0, "speakers": 2}
    assert described["quantities"]["length"]["number"] == 4
    assert inspect({"all": table(np.ones((3, 2)))}, None).as_dict()["parts"]["all"]["seconds"] is None


def test_what_has_no_parts_is_standardised_by_itself():
    x = by_itself(sound(np.arange(16, dtype=np.int16)))[0]
    assert (x.mean(), x.std()) == (pytest.approx(0, abs=1e-6), pytest.approx(1))
    silent = by_itself(sound(np.zeros(8, np.int16)))
    assert not silent[0].any()
    rows = by_itself(table(np.array([[1.0, 5.0], [3.0, 5.0]])))
    assert rows[0].tolist() == [[-1, 0], [1, 0]]


def test_a_quantity_of_what_is_all_there():
    assert quantity("x", "m", np.arange(101)) == ("x", "m", 0, 5, 50, 95, 100, 50, 101)
