"""Noise of one step: what is scored bounds the probability of the integers, and indices alone decide the noise."""

import pickle
from math import erf, log, pi
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyro_vrnn.data import Corpus, DataOptions, Normaliser, Sequences, batches, load, read
from pyro_vrnn.data.batches import DRAWS, collate
from pyro_vrnn.data.dither import Dither

from .files import Refused, noise, tone, write, write_clips

GRIDS = {"8 bit": 2.0**-7, "16 bit": 2.0**-15, "24 bit": 2.0**-23}
grids = pytest.mark.parametrize("bits", GRIDS)


def sequences(lengths: list[int], *, lsb: float | None = 2.0**-15, frame: int = 3, seed: int = 5) -> Sequences:
    """Integers, loud ones of 8 or 16 bits as int16, quiet ones of 24 as float32; without `lsb`: of 16, no noise."""
    generator = np.random.default_rng(len(lengths))
    step = lsb or 2.0**-15
    largest = round((0.9 if step >= 2.0**-15 else 0.05) / step)
    stored = [generator.integers(-largest, largest, (n, frame)) * step for n in lengths]
    if step >= 2.0**-15:
        stored = [(x * 2**15).astype(np.int16) for x in stored]
    return Sequences(
        [x if x.dtype == np.int16 else x.astype(np.float32) for x in stored],
        [str(i) for i in range(len(lengths))],
        None,
        frame=frame,
        sample_rate=8000,
        normaliser=Normaliser(-0.01, 0.3),
        dither=None if lsb is None else Dither(seed, lsb, range(len(lengths))),
    )


@settings(max_examples=100, deadline=None)
@given(
    start=st.integers(-150, 150),
    stop=st.none() | st.integers(-150, 150),
    index=st.integers(-2, 1),
    draw=st.sampled_from([0, 1, DRAWS]),
    lsb=st.sampled_from([None, *GRIDS.values()]),
)
def test_reading_a_piece_is_slicing_the_whole(
    start: int, stop: int | None, index: int, draw: int, lsb: float | None
) -> None:
    source = sequences([130, 71], lsb=lsb)
    whole = source.read(index, draw=draw)
    assert whole.shape == (source.lengths[index], 3)
    piece = source.read(index, start, stop, draw=draw)
    assert (piece.dtype, type(piece)) == (np.float32, np.ndarray)
    np.testing.assert_array_equal(piece, whole[start:stop])
    if draw == 0:
        np.testing.assert_array_equal(whole, source[index])


@grids
def test_noise_is_uniform_over_one_step_around_the_sample(bits: str) -> None:
    source = sequences([100], lsb=GRIDS[bits], frame=20)
    exact = source.samples(0) * (2.0**-15 if source.samples(0).dtype == np.int16 else 1.0)
    reads = [source.normaliser.restore(source.read(0, draw=k).astype(np.float64)) for k in range(200)]
    steps = np.stack([x - exact for x in reads]) / GRIDS[bits]
    rounding = np.abs(exact + 0.01).max() * 2**-24 / GRIDS[bits]  # of standardised values to float32
    assert np.abs(steps).max() <= 0.5 + 1.1 * rounding
    assert np.abs(steps).max() > 0.49
    assert np.abs(steps.mean(axis=0)).max() < 5 * (1 / 12 / 200) ** 0.5, "the mean over draws is the sample"
    assert steps.var() == pytest.approx(1 / 12, rel=0.02)
    assert abs(np.corrcoef(steps[:, :, :-1].ravel(), steps[:, :, 1:].ravel())[0, 1]) < 0.01
    assert abs(np.corrcoef(steps[:, :-1].ravel(), steps[:, 1:].ravel())[0, 1]) < 0.01
    assert abs(np.corrcoef(steps[:-1].ravel(), steps[1:].ravel())[0, 1]) < 0.01


def test_noise_follows_seed_position_and_draw() -> None:
    source = sequences([50, 50, 50])
    silent = Sequences(
        [np.zeros((50, 3), np.int16)] * 3, ["a"] * 3, None, frame=3, sample_rate=1, normaliser=Normaliser(0, 1)
    )
    silent.dither = source.dither
    seen = [silent.read(i, draw=k) for i in range(3) for k in range(3)]
    silent.dither = Dither(6, 2.0**-15, range(3))
    seen += [silent.read(i) for i in range(3)]
    assert len({x.tobytes() for x in seen}) == len(seen)


def test_slices_and_copies_keep_their_noise() -> None:
    source = sequences([9, 8, 7, 6, 5])
    some = source[1:][::2]
    assert some.names == ["1", "3"]
    np.testing.assert_array_equal(some.read(1, draw=4), source.read(3, draw=4))
    np.testing.assert_array_equal(source[-1], source[4])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(some))[0], source[1])
    other = source.with_normaliser(Normaliser(0.0, 0.15))
    np.testing.assert_allclose(other[2], source[2] * 2 - 0.01 / 0.15, atol=1e-5)


def test_densities_of_dithered_integers_bound_their_probability() -> None:
    """Coarse integers under a Gaussian that is as narrow as two steps: there the bound is loose enough to be seen."""
    mean, std_lsb, draws = 0.4, 1.1, 40_000
    integers = np.arange(-3, 5)
    source = Sequences(
        [np.tile((integers * 256).astype(np.int16), (draws, 1))],
        ["x"],
        None,
        frame=integers.size,
        sample_rate=1,
        normaliser=Normaliser(mean * 2**-7, std_lsb * 2**-7),
        dither=Dither(0, 2.0**-7, range(1)),
    )

    def cdf(x: float) -> float:
        return 0.5 * (1 + erf((x - mean) / std_lsb / 2**0.5))

    exact = np.array([log(cdf(n + 0.5) - cdf(n - 0.5)) for n in integers])

    def scored(x: np.ndarray) -> np.ndarray:
        return -0.5 * (x.astype(np.float64) ** 2 + log(2 * pi)) - log(std_lsb)

    dithered = scored(source[0])
    error = dithered.std(axis=0) / draws**0.5
    assert (dithered.mean(axis=0) < exact + 4 * error).all()
    gap = exact - dithered.mean(axis=0)
    assert (gap[np.abs(integers - mean) > 1] > 4 * error[np.abs(integers - mean) > 1]).all(), "strictly, and visibly"
    plain = scored(source.normaliser.standardise(integers * 2.0**-7))
    assert (plain > exact + 0.001).any(), "without noise a density exceeds the probability: this can fail"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_clips(tmp_path / "clips", [1000, 1400, 2000, 1000, 1200, 800])
    return tmp_path / "clips"


def parts(corpus: Corpus) -> list[Sequences]:
    return [corpus.train, corpus.validation, corpus.test]


def test_a_dithered_corpus(folder: Path) -> None:
    plain = load(DataOptions(source=str(folder)), seed=3)
    corpus, again = (load(DataOptions(source=str(folder), dither=True), seed=3) for _ in range(2))
    assert (plain.describe()["dither"], corpus.describe()["dither"]) == (False, True)
    assert any("dither" in line for line in corpus.lines())
    assert corpus.normaliser == plain.normaliser, "statistics are those of the samples without noise"
    assert corpus.checksum == plain.checksum
    assert corpus.std_lsb is not None
    for one, two, three in zip(parts(plain), parts(corpus), parts(again), strict=True):
        for x, y, z in zip(one, two, three, strict=True):
            assert 0.4 < np.abs(x - y).max() * corpus.std_lsb < 0.501
            np.testing.assert_array_equal(y, z)
        np.testing.assert_array_equal(one.samples(0), two.samples(0))
    other = load(DataOptions(source=str(folder), dither=True), seed=4)
    name = next(name for name in corpus.train.names if name in other.train.names)
    one, two = (c.train[c.train.names.index(name)] for c in (corpus, other))
    assert (one != two).mean() > 0.9


def test_epochs_draw_anew_and_scoring_does_not(folder: Path) -> None:
    corpus = load(DataOptions(source=str(folder), dither=True), seed=0)

    def whole(shuffle: int | None) -> list[torch.Tensor]:
        rows = {
            int(i): row
            for x, _, indices in batches(corpus.train, 2, shuffle=shuffle)
            for i, row in zip(indices, x, strict=True)
        }
        return [rows[i][: corpus.train.lengths[i]] for i in range(len(corpus.train))]

    scored = whole(None)
    for i, x in enumerate(scored):
        np.testing.assert_array_equal(x, corpus.train[i])
    epochs = [whole(shuffle) for shuffle in (0, 1, 2**63, 2**80 + 17, None)]
    for k, epoch in enumerate(epochs):
        for x, y in zip(epoch, whole((0, 1, 2**63, 2**80 + 17, None)[k]), strict=True):
            assert torch.equal(x, y)
        for later in epochs[k + 1 :]:
            assert all((x != y).double().mean() > 0.9 for x, y in zip(epoch, later, strict=True))
    np.testing.assert_array_equal(collate(corpus.train, np.array([1]), draw=7).x[0], corpus.train.read(1, draw=7))


def test_read_dithers_by_its_seed(folder: Path) -> None:
    options, normaliser = DataOptions(source=str(folder), dither=True), Normaliser(0.0, 0.1)
    one, two, three = (read(options, normaliser, seed=seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one[3], two[3])
    assert (one[3] != three[3]).mean() > 0.9


def test_segments_have_noise_of_their_own(folder: Path) -> None:
    corpus = load(DataOptions(source=str(folder), segment=0.025, dither=True), seed=0)
    plain = load(DataOptions(source=str(folder), segment=0.025), seed=0)
    added = [x - y for x, y in zip(corpus.train, plain.train, strict=True)]
    assert len({np.round(x, 7).tobytes() for x in added}) == len(added)


@pytest.mark.parametrize(
    ("name", "samples", "form", "options", "reason"),
    [
        ("b.wav", tone(1000), {"subtype": "FLOAT"}, {}, "holds floats"),
        ("b.wav", tone(1000), {"subtype": "PCM_32"}, {}, "32 bits"),
        ("b.ogg", tone(1000), {}, {}, "is lossy"),
        ("b.wav", tone(1000), {"subtype": "PCM_U8"}, {}, "has 8 bits and a.wav 16"),
        ("b.flac", tone(1000), {"subtype": "PCM_24"}, {}, "has 24 bits and a.wav 16"),
        ("b.wav", np.stack([tone(1000)] * 2, axis=1), {}, {"mix": True}, "mixed"),
        ("b.wav", tone(1000), {"rate": 8000}, {"resample": True, "sample_rate": 16000}, "resampled from 8000 Hz"),
    ],
)
def test_where_noise_would_bound_nothing_it_is_refused(
    tmp_path: Path,
    name: str,
    samples: np.ndarray,
    form: dict[str, Any],
    options: dict[str, Any],
    reason: str,
    refused: Refused,
) -> None:
    write(tmp_path / "a.wav", noise(1000))
    write(tmp_path / "c.wav", noise(1000, seed=1))
    write(tmp_path / name, samples, **form)
    given = DataOptions(source=str(tmp_path), dither=True, **options)
    with refused(name, reason, "--dither", "leave it out"):
        load(given, seed=0)
    with refused(name, reason, "--dither"):
        read(given, Normaliser(0.0, 1.0))
    read(given.model_copy(update={"dither": False}), Normaliser(0.0, 1.0))


def test_containers_may_differ_where_integers_do_not(tmp_path: Path) -> None:
    for i, name in enumerate(["a.wav", "b.flac", "c.wav"]):
        write(tmp_path / name, noise(1000, seed=i))
    assert load(DataOptions(source=str(tmp_path), dither=True, mix=True, resample=True), seed=0).dither
