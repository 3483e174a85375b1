"""Folders: what is found, framed, left out and refused."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyro_vrnn.data import DataOptions
from pyro_vrnn.data.recordings import read_recordings

from .files import Refused, noise, tone, write, write_clips


def options(folder: Path, **others: Any) -> DataOptions:
    return DataOptions(source=str(folder), **others)


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 1500), min_size=1, max_size=4),
    frame=st.integers(1, 300),
    seconds=st.none() | st.floats(0.0, 0.05),
)
def test_only_what_fills_no_frame_or_segment_is_lost(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], frame: int, seconds: float | None
) -> None:
    folder = tmp_path_factory.mktemp("clips")
    paths = write_clips(folder, [2000, *lengths])
    segment = max(2, round(seconds * 16000 / frame)) if seconds else 1
    if segment * frame > 2000 or 2 * frame > 2000:
        return
    found = read_recordings(options(folder, frame=frame, segment=segment * frame / 16000 if seconds else None))
    expected = {}
    for i, n in enumerate([2000, *lengths]):
        frames = n // frame - n // frame % segment
        if frames >= 2:
            expected[paths[i].name] = noise(n, seed=i)[: frames * frame]
    assert [clip.name for clip in found.clips] == sorted(expected)
    for clip in found.clips:
        assert clip.frames.shape[1] == frame
        np.testing.assert_array_equal(clip.frames.ravel(), expected[clip.name])
    kept = {name: int(name[:3]) for name in expected}
    assert found.dropped == sum([2000, *lengths][i] - expected[name].size for name, i in kept.items())
    assert len(found.skipped) == 1 + len(lengths) - len(expected)


def test_folders_are_searched_in_the_order_of_paths(tmp_path: Path) -> None:
    for name in ["b/2.flac", "b/1.WAV", "a.wav", "c/d/e.Flac", "notes.txt", "b/1.PHN"]:
        path = tmp_path / name
        if path.suffix.lower() in (".wav", ".flac"):
            write(path, noise(1000))
        else:
            path.write_text("text")
    found = read_recordings(options(tmp_path))
    assert [clip.name for clip in found.clips] == ["a.wav", "b/1.WAV", "b/2.flac", "c/d/e.Flac"]


def test_what_cannot_be_used_is_listed_with_its_reason(tmp_path: Path) -> None:
    write_clips(tmp_path, [1000, 399, 1000])
    (tmp_path / "text.wav").write_text("text" * 100)
    (tmp_path / "empty.flac").touch()
    write(tmp_path / "nan.wav", np.full(1000, np.nan), subtype="FLOAT")
    cut = write(tmp_path / "cut.mp3", tone(20000))
    cut.write_bytes(cut.read_bytes()[:1500])
    found = read_recordings(options(tmp_path))
    assert [clip.name for clip in found.clips] == ["000.wav", "002.wav"]
    reasons = dict(found.skipped)
    assert list(reasons) == ["001.wav", "cut.mp3", "empty.flac", "nan.wav", "text.wav"]
    assert "399 samples are less than two frames of 200" in reasons["001.wav"]
    assert "empty" in reasons["empty.flac"]
    assert "not readable as audio" in reasons["text.wav"]
    assert "finite" in reasons["nan.wav"]


def test_links_that_leave_the_folder_are_left_out(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside" / "x.wav", noise(1000))
    folder = tmp_path / "folder"
    write_clips(folder, [1000])
    (folder / "inside.wav").symlink_to(folder / "000.wav")
    (folder / "outside.wav").symlink_to(outside)
    (folder / "nowhere.wav").symlink_to(folder / "missing")
    (folder / "more").symlink_to(outside.parent)
    found = read_recordings(options(folder))
    assert [clip.name for clip in found.clips] == ["000.wav", "inside.wav"]
    assert {path: reason.split()[-1] for path, reason in found.skipped} == {
        "more": "followed",
        "nowhere.wav": "nothing",
        "outside.wav": "folder",
    }


def test_checksum_is_that_of_names_and_contents_of_used_files(tmp_path: Path) -> None:
    paths = write_clips(tmp_path, [1000, 1000])
    first = read_recordings(options(tmp_path)).checksum
    (tmp_path / "broken.wav").touch()
    (tmp_path / "notes.txt").write_text("text")
    assert read_recordings(options(tmp_path)).checksum == first
    paths[1].rename(tmp_path / "2.wav")
    renamed = read_recordings(options(tmp_path)).checksum
    write(tmp_path / "2.wav", noise(1000, seed=9))
    assert len({first, renamed, read_recordings(options(tmp_path)).checksum}) == 3


def test_silence_is_kept_and_counted(tmp_path: Path) -> None:
    write_clips(tmp_path, [1000])
    write(tmp_path / "silent.wav", np.zeros(1000, np.int16))
    steps = np.repeat(np.array([5, 6, 7, 8, 9], np.int16), 200)
    write(tmp_path / "steps.wav", steps)
    found = read_recordings(options(tmp_path))
    assert (len(found.clips), found.constant_clips, found.constant_frames) == (3, 1, 10)


def test_common_grid(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", noise(1000))
    assert read_recordings(options(tmp_path)).grid[:2] == (2**-15, True)
    write(tmp_path / "b.flac", noise(1000), subtype="PCM_24")
    assert read_recordings(options(tmp_path)).grid[:2] == (2**-23, True)
    write(tmp_path / "c.ogg", noise(1000))
    assert read_recordings(options(tmp_path)).grid[:2] == (2**-23, False)
    write(tmp_path / "d.wav", tone(1000), subtype="FLOAT")
    assert read_recordings(options(tmp_path)).grid[:2] == (None, False)


def test_mixing_and_resampling_lose_the_source_samples(tmp_path: Path) -> None:
    write(tmp_path / "mono.wav", noise(1000))
    assert read_recordings(options(tmp_path, mix=True, resample=True)).grid.lossless
    write(tmp_path / "stereo.wav", np.stack([noise(1000), noise(1000)], axis=1))
    assert not read_recordings(options(tmp_path, mix=True)).grid.lossless
    (tmp_path / "stereo.wav").unlink()
    write(tmp_path / "other.wav", noise(1000), 8000)
    assert not read_recordings(options(tmp_path, resample=True)).grid.lossless


@pytest.mark.parametrize(("chosen", "expected"), [(None, 8000), (16000, 16000), (11025, 11025)])
def test_resampling_goes_to_the_chosen_or_the_most_common_rate(
    tmp_path: Path, chosen: int | None, expected: int
) -> None:
    write_clips(tmp_path / "8", [8000, 8000], 8000)
    write_clips(tmp_path / "16", [16000], 16000)
    found = read_recordings(options(tmp_path, resample=True, sample_rate=chosen))
    assert found.sample_rate == expected
    assert {len(clip.frames) for clip in found.clips} <= {expected // 200, expected // 200 - 1}


def test_channels_are_refused(tmp_path: Path, refused: Refused) -> None:
    write_clips(tmp_path, [1000])
    write(tmp_path / "s.wav", np.zeros((1000, 3), np.int16))
    with refused("s.wav: 3 channels", "expected 1", "--mix"):
        read_recordings(options(tmp_path))


def test_two_rates_are_refused(tmp_path: Path, refused: Refused) -> None:
    write_clips(tmp_path / "a", [1000], 16000)
    write_clips(tmp_path / "b", [1000, 1000], 44100)
    with refused("a/000.wav: 16000 Hz", "b/000.wav: 44100 Hz", "--resample", "--sample-rate"):
        read_recordings(options(tmp_path))
    with refused("b/000.wav: 44100 Hz", "expected 16000 Hz", "--resample", "--sample-rate 44100"):
        read_recordings(options(tmp_path, sample_rate=16000))


def test_sources_without_recordings_are_refused(tmp_path: Path, refused: Refused) -> None:
    with refused("--data", "nowhere", "no such folder", "embedded set", "prepared corpus"):
        read_recordings(options(tmp_path / "nowhere"))
    (tmp_path / "readme.txt").write_text("text")
    with refused("no audio files", "FLAC", "data prepare"):
        read_recordings(options(tmp_path))
    (tmp_path / "a.wav").write_text("text")
    with refused("none of 1 audio files", "a.wav: not readable"):
        read_recordings(options(tmp_path))
    write(tmp_path / "b.wav", noise(300))
    with refused("none of 2 audio files", "at least two frames"):
        read_recordings(options(tmp_path))


def test_segments_shorter_than_two_frames_are_refused(tmp_path: Path, refused: Refused) -> None:
    write_clips(tmp_path, [1000])
    with refused("--segment 0.01", "two frames of 200 samples at 16000 Hz", "0.025"):
        read_recordings(options(tmp_path, segment=0.01))
    with refused("none of 1 audio files", "less than a segment of 40 frames"):
        read_recordings(options(tmp_path, segment=0.5))


def test_progress_counts_every_file(tmp_path: Path) -> None:
    write_clips(tmp_path, [1000, 100, 1000])
    seen: list[tuple[str, int, int]] = []
    read_recordings(options(tmp_path), lambda *step: seen.append(step))
    assert seen == [("reading", 1, 3), ("reading", 2, 3), ("reading", 3, 3)]


def test_names_of_any_bytes(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.wav")  # Latin-1, as old corpora have it
    write(tmp_path / "clips" / "a.wav", noise(1000))
    (tmp_path / "clips" / "a.wav").rename(tmp_path / "clips" / name)
    assert [clip.name for clip in read_recordings(options(tmp_path / "clips")).clips] == [name]
