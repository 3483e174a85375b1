"""Every format: samples, grid, and what is wrong with a file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

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


FORMS: dict[str, dict[str, Any]] = {"a.sph": {"format": "NIST"}, "a.opus": {"format": "OGG", "subtype": "OPUS"}}


def cut(path: Path, keep: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])


@pytest.mark.parametrize("keep", [0.1, 0.7, 0.999])
@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.sph", "a.ogg", "a.opus"])
def test_truncated_files_are_noticed(tmp_path: Path, name: str, keep: float) -> None:
    path = write(tmp_path / name, noise(50000), **FORMS.get(name, {}))
    cut(path, keep)
    with pytest.raises(UnusableError, match=r"truncated|corrupt|not readable"):
        decode(path, probe(path), rate=RATE)


@pytest.mark.parametrize("name", ["a.ogg", "a.opus"])
def test_a_stream_without_its_last_page_is_noticed(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, noise(50000), **FORMS.get(name, {}))
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"OggS")])
    with pytest.raises(UnusableError, match="truncated"):
        probe(path)
    path.write_bytes(content + b"ID3 or whatever else a programme appends")
    assert len(decode(path, probe(path), rate=RATE)) == 50000


def test_a_rate_that_no_conversion_can_be_meant_for(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", noise(5000), rate=1)
    with pytest.raises(UnusableError, match="1 Hz is too far from 16000 Hz"):
        decode(path, probe(path), rate=RATE)
    assert len(decode(path, probe(path), rate=1)) == 5000


@pytest.mark.parametrize(("place", "value"), [(24, 0), (22, 0), (22, 65535)])
def test_no_rate_no_channels_and_too_many(tmp_path: Path, place: int, value: int) -> None:
    path = write(tmp_path / "a.wav", noise(5000))
    content = bytearray(path.read_bytes())
    content[place : place + 2] = value.to_bytes(2, "little")
    path.write_bytes(content)
    with pytest.raises(UnusableError, match="not readable as audio"):
        probe(path)


def test_blocks_shrink_with_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio, "BLOCK", 1000)
    asked: list[int] = []
    read = soundfile.SoundFile.read
    monkeypatch.setattr(soundfile.SoundFile, "read", lambda file, n, **kw: asked.append(n) or read(file, n, **kw))
    path = write(tmp_path / "a.wav", np.zeros((300, 100), np.int16))
    assert len(decode(path, probe(path), rate=RATE)) == 300
    assert set(asked) == {10}


def test_flac_of_unknown_length(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", noise(5000))
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)
    with pytest.raises(UnusableError, match="how many samples"):
        probe(path)


def test_a_file_that_changes_after_it_was_probed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", noise(5000))
    header = probe(path)
    write(path, noise(4000))
    with pytest.raises(UnusableError, match="changed"):
        decode(path, header, rate=RATE)
    path.unlink()
    with pytest.raises(UnusableError, match="corrupt"):
        decode(path, header, rate=RATE)


@pytest.mark.parametrize("length", [b"      0", b"     -1", b"   junk", b"9999999", b"1048576"])
def test_sphere_headers_of_impossible_lengths(tmp_path: Path, length: bytes) -> None:
    path = write(tmp_path / "a.sph", noise(5000), format="NIST")
    path.write_bytes(path.read_bytes().replace(b"   1024", length, 1))
    with pytest.raises(UnusableError, match=r"damaged|truncated|not readable"):
        probe(path)


@pytest.mark.parametrize(
    ("entry", "other"),
    [
        (b"sample_count -i 5000", b"sample_count -i 99999999999999999999"),
        (b"sample_rate -i 16000", b"sample_rate -i 0"),
        (b"channel_count -i 1", b"channel_count -i 99999"),
    ],
)
def test_sphere_headers_of_impossible_entries(tmp_path: Path, entry: bytes, other: bytes) -> None:
    path = write(tmp_path / "a.sph", noise(5000), format="NIST")
    content = path.read_bytes()
    header = content[:1024].replace(entry, other)[:1024]
    assert other in header
    path.write_bytes(header + content[1024:])
    with pytest.raises(UnusableError, match=r"truncated|not readable"):
        probe(path)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.ogg", "a.sph"])
@settings(max_examples=30, deadline=None)
@given(changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4))
def test_changed_bytes_give_samples_or_a_reason(
    tmp_path_factory: pytest.TempPathFactory, name: str, changes: list[tuple[float, int]]
) -> None:
    path = write(tmp_path_factory.mktemp("changed") / name, noise(2000), **FORMS.get(name, {}))
    content = bytearray(path.read_bytes())
    for place, value in changes:
        content[int(place**3 * len(content))] = value  # most of them in the header
    path.write_bytes(content)
    reason = ""
    try:
        header = probe(path)
        stored = decode(path, header, rate=header.rate)
    except UnusableError as error:
        reason = str(error)
    else:
        assert stored.dtype == header.grid.dtype
        assert np.isfinite(stored).all()
    assert reason.isprintable()


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
