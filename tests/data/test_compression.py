"""The yardstick: a FLAC file that holds exactly what is scored."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from pyro_vrnn.data import DataOptions, Normaliser, Sequences, compression, flac_bits_per_sample, load
from pyro_vrnn.data.compression import write_flac

from .files import noise, tone, write


def sequences(frames: list[np.ndarray], rate: int = 16000) -> Sequences:
    names = [str(i) for i in range(len(frames))]
    return Sequences(frames, names, None, frame=frames[0].shape[1], sample_rate=rate, normaliser=Normaliser(0.0, 1.0))


@settings(max_examples=20, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    frame=st.integers(1, 50),
    block=st.integers(1, 300),
)
def test_the_file_holds_exactly_the_scored_samples(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], frame: int, block: int
) -> None:
    path = tmp_path_factory.mktemp("flac") / "x.flac"
    frames = [noise(n * frame, seed=i).reshape(n, frame) for i, n in enumerate(lengths)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compression, "BLOCK", block)
        write_flac(path, sequences(frames))
    header = soundfile.info(path)
    assert (header.format, header.subtype, header.channels, header.samplerate) == ("FLAC", "PCM_16", 1, 16000)
    np.testing.assert_array_equal(soundfile.read(path, dtype="int16")[0], np.concatenate(frames).ravel())


@pytest.mark.parametrize(
    "rate", [1, 100, 8000, 11025, 44100, 65535, 65536, 65537, 96000, 192000, 655350, 655351, 10**6]
)
def test_every_rate_can_be_written(tmp_path: Path, rate: int) -> None:
    source = sequences([noise(4000).reshape(-1, 100)], rate)
    write_flac(tmp_path / "x.flac", source)
    np.testing.assert_array_equal(soundfile.read(tmp_path / "x.flac", dtype="int16")[0], noise(4000))


def full_range(n: int, bits: int) -> np.ndarray:
    return np.random.default_rng(0).integers(-(2 ** (bits - 1)), 2 ** (bits - 1), n)


def bits(samples: np.ndarray) -> float:
    found = flac_bits_per_sample(sequences([samples.astype(np.int16).reshape(-1, 200)]), lossless=True)
    assert found is not None
    return found


def test_noise_costs_its_bits_and_silence_nothing() -> None:
    assert bits(full_range(200_000, 16)) == pytest.approx(16, abs=0.05)
    assert bits(np.zeros(200_000)) < 0.05
    assert bits(tone(200_000, hertz=100) * 2**15) < 8


def test_integers_of_8_bits_cost_what_their_own_steps_cost() -> None:
    assert bits(full_range(200_000, 8) * 256) == pytest.approx(8, abs=0.05)
    quiet = np.random.default_rng(0).integers(-4, 4, 200_000)
    assert bits(quiet * 256) == pytest.approx(bits(quiet), abs=0.01)


def test_compression_is_the_highest(tmp_path: Path) -> None:
    samples = (tone(200_000, hertz=300) * 3000 + np.random.default_rng(0).normal(0, 30, 200_000)).astype(np.int16)
    sizes = []
    for level in (0.0, 0.25, 0.5, 0.75, 1.0):
        path = tmp_path / f"{level}.flac"
        soundfile.write(path, samples, 16000, compression_level=level)
        sizes.append(path.stat().st_size)
    assert len(set(sizes)) > 2, "levels make no difference: no test"
    assert bits(samples) == pytest.approx(8 * min(sizes) / samples.size, rel=1e-3)


def test_what_is_scored_is_what_is_counted(tmp_path: Path) -> None:
    """Whole frames only; neither dropped samples nor the noise of a dither."""
    for i in range(6):
        write(tmp_path / f"{i}.wav", full_range(20_000 + 150, 16).astype(np.int16))
    for dither in (False, True):
        corpus = load(DataOptions(source=str(tmp_path), dither=dither), seed=0)
        found = flac_bits_per_sample(corpus.train, lossless=corpus.lossless)
        assert found == pytest.approx(16, abs=0.2)


def test_without_integers_of_at_most_16_bits_there_is_no_yardstick() -> None:
    short, amplitudes = noise(2000).reshape(-1, 100), tone(2000).reshape(-1, 100)
    assert flac_bits_per_sample(sequences([short]), lossless=False) is None
    assert flac_bits_per_sample(sequences([amplitudes]), lossless=True) is None
    assert flac_bits_per_sample(sequences([short, amplitudes]), lossless=True) is None
