"""Long recordings: their samples lie in a file without a name, and nothing on the way grows with them."""

import errno
import gc
import os
import pickle
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyro_vrnn.data import (
    DataOptions,
    LazyFrames,
    Normaliser,
    audio,
    batches,
    gathering,
    load,
    read,
    recordings,
    scoring_batches,
    statistics,
)
from pyro_vrnn.data.audio import UnusableError, decode, probe
from pyro_vrnn.data.recordings import count_constant, read_recordings
from pyro_vrnn.data.statistics import moments

from .files import RATE, Refused, noise, tone, write, write_clips


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own for temporary files; recordings of more than 1000 samples are long."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(gathering, "LONG", 1000)
    return folder


def mapped(folder: Path) -> list[str]:
    """Files in a folder that this process maps, named or not."""
    if not Path("/proc/self/maps").exists():
        pytest.skip("no /proc to see maps of files in")
    return [line for line in Path("/proc/self/maps").read_text().splitlines() if str(folder) in line]


@pytest.mark.parametrize(
    ("name", "form", "rate"),
    [
        ("a.wav", {}, RATE),
        ("a.wav", {"subtype": "PCM_24"}, RATE),
        ("a.wav", {"subtype": "FLOAT"}, RATE),
        ("a.flac", {}, RATE),
        ("a.ogg", {}, RATE),
        ("a.wav", {}, 11025),
        ("a.wav", {"subtype": "FLOAT"}, 11025),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_the_file_holds_what_memory_would(
    temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, form: Any, rate: int, channels: int
) -> None:
    monkeypatch.setattr(audio, "BLOCK", 997)
    samples = np.stack([tone(5000, hertz=200 * (1 + c)) for c in range(channels)], axis=1)
    path = write(tmp_path / name, samples, **form)
    spilled = decode(path, probe(path), rate=rate)
    monkeypatch.setattr(gathering, "LONG", 10**9)
    held = decode(path, probe(path), rate=rate)
    assert isinstance(spilled, np.memmap)
    assert not isinstance(held, np.memmap)
    assert spilled.dtype == held.dtype
    np.testing.assert_array_equal(spilled, held)
    assert not spilled.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        spilled[0] = 1


def test_short_recordings_stay_in_memory(temporary: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", noise(1000))
    assert not isinstance(decode(path, probe(path), rate=RATE), np.memmap)
    assert mapped(temporary) == []


def test_the_file_has_no_name_and_goes_with_the_last_array(temporary: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", noise(5000))
    open_before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    whole = decode(path, probe(path), rate=RATE)
    assert len(mapped(temporary)) == 1
    assert list(temporary.iterdir()) == []
    view = whole[200:4000].reshape(-1, 100)
    del whole
    gc.collect()
    np.testing.assert_array_equal(view.ravel(), noise(5000)[200:4000])
    assert len(mapped(temporary)) == 1
    del view
    gc.collect()
    assert mapped(temporary) == []
    assert len(os.listdir("/proc/self/fd")) == open_before


def test_what_is_wrong_with_a_long_file_leaves_no_map(temporary: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", noise(50000))
    path.write_bytes(path.read_bytes()[:60000])
    with pytest.raises(UnusableError, match=r"corrupt|truncated"):
        decode(path, probe(path), rate=RATE)
    gc.collect()
    assert mapped(temporary) == []


def test_corpora_are_the_same_and_can_be_cut_and_copied(
    temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clips(tmp_path / "clips", [900, 5000, 7000, 3100])
    for options in (
        DataOptions(source=str(tmp_path / "clips")),
        DataOptions(source=str(tmp_path / "clips"), segment=0.05, frame=100, dither=True),
    ):
        with monkeypatch.context() as patch:
            long = load(options, seed=0)
            patch.setattr(gathering, "LONG", 10**9)
            short = load(options, seed=0)
        assert long.describe() == short.describe()
        for part in ("train", "validation", "test"):
            one, two = getattr(long, part), getattr(short, part)
            copies = (one, one[:], pickle.loads(pickle.dumps(one)), one.with_normaliser(one.normaliser))
            for copy in copies:
                for x, y in zip(copy, two, strict=True):
                    assert type(x) is np.ndarray
                    assert x.flags.writeable
                    np.testing.assert_array_equal(x, y)
        for one, two in zip(batches(long.train, 2, shuffle=1), batches(short.train, 2, shuffle=1), strict=True):
            assert all((a == b).all() for a, b in zip(one, two, strict=True))


def test_memory_does_not_grow_with_a_recording(
    temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (recordings, statistics):
        monkeypatch.setattr(module, "PIECE", 1 << 14)
    monkeypatch.setattr(audio, "BLOCK", 1 << 14)
    write(tmp_path / "clips" / "long.wav", np.tile(np.array([3, -3], np.int16), 1 << 20))
    write(tmp_path / "clips" / "flat.wav", np.full(1 << 21, 3, np.int16))
    for x in (noise(1 << 14), tone(1 << 14)):
        write(tmp_path / "warm" / "x.wav", x)
        read_recordings(DataOptions(source=str(tmp_path / "warm")))
    tracemalloc.start()
    try:
        found = read_recordings(DataOptions(source=str(tmp_path / "clips")))
        seen = moments(clip.frames for clip in found.clips)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (found.constant_clips, found.constant_frames) == (1, (1 << 21) // 200)
    assert seen.number == 2 * ((1 << 21) // 200) * 200
    assert peak < 1 << 20, f"{peak} bytes for recordings of {1 << 22} each"


@settings(max_examples=50, deadline=None)
@given(frames=st.integers(1, 40), frame=st.integers(1, 9), piece=st.integers(1, 50), seed=st.integers(0, 99))
def test_constant_frames_are_counted_in_pieces(frames: int, frame: int, piece: int, seed: int) -> None:
    x = np.random.default_rng(seed).integers(0, 2, (frames, frame), dtype=np.int16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recordings, "PIECE", piece)
        assert count_constant(x) == sum(len(set(row)) == 1 for row in x.tolist())


@pytest.mark.parametrize(
    ("number", "remedy"), [(errno.ENOSPC, "TMPDIR"), (errno.EROFS, "TMPDIR"), (errno.EMFILE, "ulimit -n")]
)
def test_no_room_is_said_in_one_line(
    temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused, number: int, remedy: str
) -> None:
    write(tmp_path / "clips" / "a.wav", noise(5000))

    def full(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with refused("clips/a.wav", os.strerror(number), remedy):
        read_recordings(DataOptions(source=str(tmp_path / "clips")))


def test_long_sequences_come_in_pieces_from_the_file(temporary: Path, tmp_path: Path) -> None:
    write_clips(tmp_path, [2000, 9000, 2500, 2200])
    source, *_ = read(DataOptions(source=str(tmp_path), frame=20), Normaliser(0.0, 0.1))
    (long,) = (x for x, _, _ in scoring_batches(source, 2, longest=200) if isinstance(x, LazyFrames))
    assert long.shape == (1, 450, 20)
    np.testing.assert_array_equal(long[:, 100:130][0], source[1][100:130])
