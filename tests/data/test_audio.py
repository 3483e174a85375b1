"""Every format: samples, grid, and what is wrong with a file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from pyro_vrnn.data import audio
from pyro_vrnn.data.audio import UnusableError, decode, probe

from .files import RATE, noise, tone, write

EXACT = [
    ("a.wav", {"subtype": "PCM_16"}, 2**-15, np.int16),
    ("a.wav", {"subtype": "PCM_U8"}, 2**-7, np.int16),
    ("a.wav", {"subtype": "PCM_24"}, 2**-23, np.float32),
    ("a.wave", {"format": "WAVEX"}, 2**-15, np.int16),
    ("a.flac", {"subtype": "PCM_16"}, 2**-15, np.int16),
    ("a.flac", {"subtype": "PCM_24"}, 2**-23, np.float32),
    ("a.sph", {"format": "NIST", "subtype": "PCM_16"}, 2**-15, np.int16),
    ("SA1.WAV", {"format": "NIST", "subtype": "PCM_16"}, 2**-15, np.int16),
]


def amplitudes(stored: np.ndarray) -> np.ndarray:
    return stored * np.float32(2**-15) if stored.dtype == np.int16 else stored


@pytest.mark.parametrize(("name", "form", "lsb", "dtype"), EXACT)
def test_integers_are_read_exactly(tmp_path: Path, name: str, form: dict[str, Any], lsb: float, dtype: type) -> None:
    steps = np.random.default_rng(0).integers(-int(0.9 / lsb), int(0.9 / lsb), 5000)
    path = write(tmp_path / name, steps * lsb, **form)
    header = probe(path)
    assert (header.rate, header.channels, header.samples) == (RATE, 1, 5000)
    assert header.grid == (lsb, True, dtype)
    stored = decode(path, header, rate=RATE)
    assert stored.dtype == dtype
    np.testing.assert_array_equal(amplitudes(stored) / lsb, steps)


def test_32_bit_integers_have_a_grid_that_float32_cannot_hold(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone(5000), subtype="PCM_32")
    assert probe(path).grid == (2**-31, False, np.float32)
    np.testing.assert_allclose(decode(path, probe(path), rate=RATE), tone(5000), atol=1e-7)


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_floats_have_no_grid(tmp_path: Path, subtype: str) -> None:
    path = write(tmp_path / "a.wav", tone(5000), subtype=subtype)
    header = probe(path)
    assert header.grid == (None, False, np.float32)
    np.testing.assert_array_equal(decode(path, header, rate=RATE), tone(5000))


@pytest.mark.parametrize(
    ("name", "form"),
    [("a.mp3", {}), ("a.ogg", {}), ("a.opus", {"format": "OGG", "subtype": "OPUS"}), ("a.wav", {"subtype": "ULAW"})],
)
def test_lossy_files_are_rounded_to_16_bits(tmp_path: Path, name: str, form: dict[str, Any]) -> None:
    path = write(tmp_path / name, tone(16000), **form)
    header = probe(path)
    assert header.grid == (2**-15, False, np.int16)
    stored = decode(path, header, rate=RATE)
    assert stored.dtype == np.int16
    assert stored.shape == (16000,)
    assert np.corrcoef(stored, tone(16000))[0, 1] > 0.99


def test_loud_ogg_saturates(tmp_path: Path) -> None:
    square = np.sign(tone(16000, hertz=100)) * 0.99
    path = write(tmp_path / "a.ogg", square)
    assert np.abs(soundfile.read(path, dtype="float32")[0]).max() > 1.1, "this file does not overshoot: no test"
    stored = decode(path, probe(path), rate=RATE)
    assert np.abs(amplitudes(stored) - square).max() < 0.6


@pytest.mark.parametrize("block", [1000, 1 << 20])
def test_channels_are_averaged_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(audio, "BLOCK", block)
    channels = np.stack([noise(4321, seed=1), noise(4321, seed=2)], axis=1)
    path = write(tmp_path / "a.wav", channels)
    header = probe(path)
    assert header.channels == 2
    np.testing.assert_allclose(decode(path, header, rate=RATE), channels.mean(axis=1), atol=0.5001)


def test_resampling_in_blocks_keeps_a_tone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.wav", tone(44100, rate=44100), 44100)
    whole = decode(path, probe(path), rate=RATE)
    assert whole.dtype == np.int16
    assert abs(len(whole) - 16000) <= 1
    middle = slice(1000, 15000)
    np.testing.assert_allclose(amplitudes(whole)[middle], tone(len(whole))[middle], atol=1e-3)
    monkeypatch.setattr(audio, "BLOCK", 997)
    np.testing.assert_allclose(decode(path, probe(path), rate=RATE), whole, atol=1)


def cut(path: Path, keep: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])


@pytest.mark.parametrize("keep", [0.1, 0.7])
@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.sph"])
def test_truncated_files_are_noticed(tmp_path: Path, name: str, keep: float) -> None:
    form: dict[str, Any] = {"format": "NIST"} if name == "a.sph" else {}
    path = write(tmp_path / name, noise(50000), **form)
    cut(path, keep)
    with pytest.raises(UnusableError, match=r"truncated|corrupt|not readable"):
        decode(path, probe(path), rate=RATE)


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_wav_written_to_a_pipe_is_whole(tmp_path: Path, size: int) -> None:
    path = write(tmp_path / "a.wav", noise(5000))
    content = bytearray(path.read_bytes())
    content[4:8] = size.to_bytes(4, "little")
    if size:
        content[40:44] = size.to_bytes(4, "little")
    path.write_bytes(content)
    np.testing.assert_array_equal(decode(path, probe(path), rate=RATE), noise(5000))


def test_wrong_outer_size_alone_is_harmless(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", noise(5000))
    content = bytearray(path.read_bytes())
    content[4:8] = len(content).to_bytes(4, "little")
    path.write_bytes(content)
    np.testing.assert_array_equal(decode(path, probe(path), rate=RATE), noise(5000))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.wav", b"", "empty"),
        ("a.mp3", b"", "empty"),
        ("a.wav", b"not a recording" * 99, "not readable as audio"),
        ("a.mp3", b"not a recording" * 99, "not readable as audio"),
        ("a.flac", b"fLaC" + bytes(500), "not readable as audio"),
        ("a.sph", b"NIST_1A\n   1024\nsample_coding -s26 pcm,embedded-shorten-v2.00\nend_head\n", "sph2pipe"),
    ],
)
def test_what_is_no_audio_says_so(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnusableError, match=reason) as caught:
        probe(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert "pipe?" not in str(caught.value)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite(tmp_path: Path, value: float) -> None:
    samples = tone(5000)
    samples[4321] = value
    path = write(tmp_path / "a.wav", samples, subtype="FLOAT")
    with pytest.raises(UnusableError, match="finite"):
        decode(path, probe(path), rate=RATE)
