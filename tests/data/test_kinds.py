"""Sound, pen strokes and rows of numbers: one map, one noise and one description for all of them."""

import json
import pickle
from collections.abc import Sequence
from dataclasses import replace
from math import exp, log, sqrt

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyro_vrnn.data import Corpus, DataOptions, Kind, Normaliser, Sequences, batches, flac_bits_per_sample, load, look
from pyro_vrnn.data.dither import Dither
from pyro_vrnn.data.statistics import normaliser_of, training_moments

from .files import Refused, write_clips

PEN = Normaliser((0.5, 0.5, 0.0), (3.0, 3.0, 1.0))
MAPS = {"audio": Normaliser(-0.01, 0.3), "pen": PEN, "arrays": Normaliser((1e6, 0.0, -3.0), (2.0, 0.1, 7.0))}
kinds = pytest.mark.parametrize("kind", MAPS)


def strokes(lengths: list[int], seed: int = 0) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    rows = [np.column_stack([generator.integers(-90, 90, (n, 2)), np.arange(n) % 5 == 4]) for n in lengths]
    return [row.astype(np.int16) for row in rows]


def sequences(
    kind: Kind, lengths: list[int], *, dither: bool = False, normaliser: Normaliser | None = None
) -> Sequences:
    return Sequences(
        strokes(lengths),
        [f"{i}.xml" for i in range(len(lengths))],
        [f"w{i % 2}" for i in range(len(lengths))],
        frame=3,
        sample_rate=48 if kind == "audio" else None,
        normaliser=normaliser or MAPS[kind],
        dither=Dither(3, 2.0**-15 if kind == "audio" else 1.0, range(len(lengths))) if dither else None,
        kind=kind,
        step=2.0**-15 if kind == "audio" else 1.0,
    )


def corpus(kind: Kind, **others: object) -> Corpus:
    parts = {part: sequences(kind, [7, 9, 8]) for part in ("train", "validation", "test")}
    given = {
        "name": "lines",
        "lsb": 1.0,
        "lossless": True,
        "skipped": (),
        "checksum": "0" * 64,
        "speakers": 2,
        "clips": 9,
    }
    given |= {"sample_rate": parts["train"].sample_rate, "frame": 3, "normaliser": MAPS[kind], "kind": kind, **parts}
    return Corpus(**(given | others))  # type: ignore[arg-type]


@pytest.mark.parametrize("normaliser", MAPS.values())
def test_maps_of_one_number_and_of_many_are_the_same_formula(normaliser: Normaliser) -> None:
    amplitude = np.random.default_rng(1).normal(size=(2, 5, 3))
    mean, std = np.array(normaliser.mean), np.array(normaliser.std)
    np.testing.assert_allclose(normaliser.standardise(amplitude), (amplitude - mean) / std, rtol=1e-12)
    np.testing.assert_allclose(normaliser.restore(normaliser.standardise(amplitude)), amplitude, rtol=1e-9, atol=1e-9)
    tensor = torch.tensor(amplitude, dtype=torch.float32)
    assert normaliser.standardise(tensor).dtype == torch.float32
    assert normaliser.standardise(amplitude.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(normaliser.restore(tensor).numpy(), amplitude * std + mean, rtol=1e-5, atol=1e-5)
    assert Normaliser(**json.loads(json.dumps(vars(normaliser)))) == normaliser
    assert pickle.loads(pickle.dumps(normaliser)) == normaliser
    assert isinstance(hash(normaliser), int)


def test_maps_that_are_none_are_refused() -> None:
    for mean, std in ((0.0, 0.0), ((0.0, 0.0), (1.0, 0.0)), ((0.0,), 1.0), ((0.0,), (1.0, 1.0)), (0.0, float("nan"))):
        with pytest.raises(ValueError, match=r"expected|positive"):
            Normaliser(mean, std)


@kinds
def test_what_is_read_is_the_stored_value_standardised(kind: Kind) -> None:
    source = sequences(kind, [40, 3])
    exact = source.normaliser.standardise(source.samples(0) * source.step)
    np.testing.assert_allclose(source[0], exact, rtol=1e-5, atol=1e-5)
    assert source[0].dtype == np.float32
    np.testing.assert_array_equal(source.read(0, 5, -4), source[0][5:-4])
    if kind == "pen":
        np.testing.assert_array_equal(source[0][:, 2], source.samples(0)[:, 2])


def test_large_coordinates_keep_their_differences() -> None:
    rows = np.array([[2**24 + 1], [2**24 + 2], [2**24 + 3]], np.int32)
    source = Sequences(
        [rows],
        ["a"],
        None,
        frame=1,
        sample_rate=None,
        normaliser=Normaliser((2.0**24,), (1.0,)),
        kind="arrays",
        step=1.0,
    )
    np.testing.assert_array_equal(source[0][:, 0], [1, 2, 3])


@kinds
def test_noise_is_one_step_of_the_continuous_values_alone(kind: Kind) -> None:
    plain, noisy = sequences(kind, [400]), sequences(kind, [400], dither=True)
    width = 2 if kind == "pen" else 3
    assert noisy.width == width
    apart = (noisy[0].astype(np.float64) - plain[0]) * np.array(plain.normaliser.std) / plain.step
    assert np.abs(apart[:, :width]).max() < 0.52
    assert apart[:, :width].std(axis=0) == pytest.approx(sqrt(1 / 12), rel=0.15)
    np.testing.assert_array_equal(apart[:, width:], 0)
    np.testing.assert_array_equal(noisy.read(0, 50, 90, draw=2), noisy.read(0, draw=2)[50:90])
    (batch,) = batches(noisy, 4, shuffle=1)
    assert (batch.x[0] != torch.from_numpy(noisy[0])).any(), "another draw"


class Lazy(Sequence):  # type: ignore[type-arg]
    """Things that are made when they are asked for, and counted."""

    def __init__(self, make, chosen: range) -> None:  # type: ignore[no-untyped-def]
        self.make, self.chosen, self.asked = make, chosen, 0

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        if isinstance(index, slice):
            return Lazy(self.make, self.chosen[index])
        self.asked += 1
        return self.make(self.chosen[index])


def test_frames_and_names_may_be_lazy() -> None:
    held = strokes([6, 5, 9, 4])
    frames, names = Lazy(lambda i: held[i], range(4)), Lazy(lambda i: f"{i}.xml", range(4))
    source = Sequences(
        frames,
        names,
        None,
        frame=3,
        sample_rate=None,
        normaliser=PEN,
        dither=Dither(1, 1.0, range(4)),
        kind="pen",
        step=1.0,
        lengths=np.array([6, 5, 9, 4]),
    )
    assert (frames.asked, names.asked, len(source)) == (0, 0, 4)
    some = source[1:][::2].with_normaliser(Normaliser((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))
    assert list(some.names) == ["1.xml", "3.xml"]
    assert (some.kind, some.step, some.sample_rate, some.lengths.tolist()) == ("pen", 1.0, None, [5, 4])
    assert np.abs(some[1] - held[3]).max() <= 0.5
    np.testing.assert_allclose(some[1][:, :2], source[3][:, :2] * 3 + 0.5, atol=1e-5)
    assert frames.asked == 1


@settings(max_examples=50, deadline=None)
@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_training_statistics(lengths: list[int], seed: int) -> None:
    rows = strokes([*lengths, 5], seed)
    whole = np.concatenate(rows).astype(np.float64)
    flat, T = whole[:, :2].ravel(), len(whole)
    for convention, mean, std in (
        ("training", flat.mean(), flat.std()),
        ("released", flat.sum() / T, sqrt(((flat - flat.sum() / T) ** 2).sum() / T)),
    ):
        found = normaliser_of(training_moments(rows, "pen", step=1.0), "pen", convention)  # type: ignore[arg-type]
        assert found.mean == pytest.approx((mean, mean, 0.0), rel=1e-9, abs=1e-9)
        assert found.std == pytest.approx((std, std, 1.0), rel=1e-9)
    if whole.std(axis=0).all():
        found = normaliser_of(training_moments(rows, "arrays", step=0.5), "arrays")
        assert found.mean == pytest.approx(tuple(whole.mean(axis=0) / 2), rel=1e-9, abs=1e-9)
        assert found.std == pytest.approx(tuple(whole.std(axis=0) / 2), rel=1e-9)
    found = normaliser_of(training_moments(rows, "audio", step=2.0**-15), "audio")
    assert (found.mean, found.std) == pytest.approx((whole.mean() / 2**15, whole.std() / 2**15), rel=1e-9)


@pytest.mark.parametrize("kind", ["audio", "arrays"])
def test_the_released_sums_are_of_pens(kind: Kind, tmp_path, refused: Refused) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="released"):
        normaliser_of(training_moments(strokes([9]), kind, step=1.0), kind, "released")
    write_clips(tmp_path, [1000, 1000, 1000])
    with refused("--normaliser released", "pen strokes"):
        load(DataOptions(source=str(tmp_path), normaliser="released"), seed=0)


def test_bits_are_of_the_geometric_mean_over_continuous_values() -> None:
    pen = corpus("pen")
    assert (pen.width, pen.std_lsb) == (2, pytest.approx(3.0))
    assert corpus("arrays", lsb=0.5).std_lsb == pytest.approx(exp((log(2) + log(0.1) + log(7)) / 3) / 0.5)
    assert corpus("arrays", lsb=None).std_lsb is None
    assert corpus("audio", lsb=2.0**-15).std_lsb == 0.3 * 2**15


@kinds
def test_densities_of_references_follow_the_map(kind: Kind) -> None:
    """log N(v; 0, 1) of amplitudes does not depend on the map: nats of standardised values differ by log std."""
    known = corpus(kind, references={"known": np.zeros(3)})
    other = known.with_normaliser(Normaliser((0.0,) * 3, (5.0, 6.0, 1.0)))
    old = np.broadcast_to(np.log(known.normaliser.std), 3)
    per_frame = (np.log([5.0, 6.0, 1.0]) - old)[: known.width].sum()
    np.testing.assert_allclose(other.references["known"], known.test.lengths * per_frame, atol=1e-12)


def test_descriptions_have_the_words_of_the_kind() -> None:
    pen = corpus("pen", constant_frames=4)
    text = "\n".join(pen.lines())
    for part in (
        "9 sequences, 2 writers, 72 points of 3 values",
        "7 to 9 points",
        "offsets standardised",
        "0.5",
        " 3 ",
    ):
        assert part in text, part
    for part in ("Hz", "sample", " h,", "min"):
        assert part not in text, part
    assert "4 points (5.6%) have an offset of exactly 0" in text
    assert "--dither" in text
    assert "offset of exactly" not in "\n".join(replace(pen, dither=True).lines())
    seen = json.loads(json.dumps(pen.describe()))
    assert (seen["kind"], seen["hours"], seen["sample_rate"]) == ("pen", None, None)
    assert Normaliser(seen["mean"], seen["std"]) == PEN
    arrays = "\n".join(corpus("arrays", speakers=None).lines())
    assert "each value standardised by mean 1e+06, 0, -3 and std 2, 0.1, 7" in arrays
    assert "min at 48 Hz" in "\n".join(corpus("audio").lines())


def test_only_sound_has_a_size_as_flac() -> None:
    assert flac_bits_per_sample(sequences("pen", [9]), lossless=True) is None
    assert flac_bits_per_sample(sequences("arrays", [9]), lossless=True) is None
    assert flac_bits_per_sample(sequences("audio", [9]), lossless=True) is not None


def test_kinds_are_known_before_reading() -> None:
    assert look(DataOptions(source="linear-gaussian")) == ("arrays", 4)
    assert look(DataOptions(source="nowhere", frame=80)) == ("audio", 80)
