"""The embedded corpus: voices that exist, clips that repeat, and what is said without eSpeak NG."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pyro_vrnn.data import EMBEDDED, DataOptions, demo, load
from pyro_vrnn.data.demo import VOICES, render_voice
from pyro_vrnn.data.sentences import SENTENCES

from .files import Refused

BREATHY = next(voice for voice in VOICES if voice.variant == "f3")  # draws noise while it speaks


@pytest.fixture
def espeak() -> Path:
    loader = pytest.importorskip("espeakng_loader", reason="the extra `speech` is not installed")
    return Path(loader.get_data_path())


@pytest.fixture
def short_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, espeak: Path) -> Path:
    """A cache of one's own and a recipe of three voices with two sentences each."""
    monkeypatch.setenv("PYRO_VRNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(demo, "VOICES", VOICES[:3])
    monkeypatch.setattr(demo, "SENTENCES", SENTENCES[:6])
    return tmp_path / "cache"


def test_sentences_and_voices_are_many_and_distinct() -> None:
    assert len(SENTENCES) == len(set(SENTENCES)) >= 300
    assert all(25 <= len(sentence) <= 70 and sentence.isascii() for sentence in SENTENCES)
    assert len(SENTENCES) % len(VOICES) == 0
    assert len({voice.name for voice in VOICES}) == len(VOICES) >= 20
    assert len({voice[1:] for voice in VOICES}) == len(VOICES)
    assert "demo-speech" in EMBEDDED


def test_variants_are_known_to_espeak(espeak: Path) -> None:
    # eSpeak NG speaks with the plain voice, and says nothing, where a variant is missing.
    for voice in VOICES:
        assert (espeak / "voices" / "!v" / voice.variant).is_file(), voice


def test_rendering_repeats_byte_by_byte(tmp_path: Path, espeak: Path) -> None:
    render_voice(BREATHY, SENTENCES[:3], tmp_path / "first")
    time.sleep(1.1)  # eSpeak NG seeds itself with the time in seconds
    render_voice(BREATHY, SENTENCES[:3], tmp_path / "second")
    for name in ("00.wav", "01.wav", "02.wav"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_clips_are_like_recordings(tmp_path: Path, espeak: Path) -> None:
    render_voice(BREATHY, SENTENCES[:2], tmp_path / "clips")
    render_voice(VOICES[0], SENTENCES[:2], tmp_path / "others")
    for path in (tmp_path / "clips" / "00.wav", tmp_path / "clips" / "01.wav", tmp_path / "others" / "00.wav"):
        header = soundfile.info(path)
        assert (header.samplerate, header.channels, header.subtype) == (16000, 1, "PCM_16")
        assert 1.5 < header.duration < 4
        samples = soundfile.read(path, dtype="int16")[0]
        frames = samples[: len(samples) // 200 * 200].reshape(-1, 200)
        assert (frames.std(axis=1) > 2).all(), "digital silence"
        assert np.std(samples / 2**15) == pytest.approx(demo.LOUDNESS, rel=0.02)
        assert np.abs(samples.astype(int)).max() < 2**15 - 1
    assert not np.array_equal(
        soundfile.read(tmp_path / "clips" / "00.wav")[0][:1000],
        soundfile.read(tmp_path / "others" / "00.wav")[0][:1000],
    )


def test_long_data_paths_are_shortened(tmp_path: Path, espeak: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    render_voice(VOICES[0], SENTENCES[:1], tmp_path / "direct")
    monkeypatch.setattr(demo, "LONGEST_PATH", 10)
    render_voice(VOICES[0], SENTENCES[:1], tmp_path / "copied")
    assert (tmp_path / "direct" / "00.wav").read_bytes() == (tmp_path / "copied" / "00.wav").read_bytes()


def test_demo_speech_loads_and_knows_its_speakers(short_demo: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    corpus = load(DataOptions(split="speaker", segment=0), seed=0, progress=lambda *step: seen.append(step))
    assert (corpus.name, corpus.sample_rate, corpus.clips, corpus.speakers) == ("demo-speech", 16000, 6, 3)
    assert corpus.lossless
    assert corpus.constant_frames == 0
    assert [len(part) for part in (corpus.train, corpus.validation, corpus.test)] == [2, 2, 2]
    assert seen[0] == ("rendering demo-speech", 0, 3)
    assert ("rendering demo-speech", 3, 3) in seen
    assert seen[-1] == ("reading", 6, 6)
    seen.clear()
    again = load(DataOptions(), seed=0, progress=lambda *step: seen.append(step))
    assert again.checksum == corpus.checksum
    assert {int(length) for part in (again.train, again.validation, again.test) for length in part.lengths} == {40}
    assert {stage for stage, _, _ in seen} == {"reading"}


def test_another_recipe_renders_anew(short_demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "SENTENCES", SENTENCES[:3])
    first = demo.prepare()
    monkeypatch.setattr(demo, "FORMAT", demo.FORMAT + 1)
    second = demo.prepare()
    assert first != second
    record = json.loads((second / "manifest.json").read_text())
    assert record["format"] == demo.FORMAT
    assert record["espeak"]
    assert record["loader"]
    assert len(record["files"]) == 3


def test_without_espeak_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, refused: Refused) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with refused("demo-speech needs eSpeak NG", "pip install 'pyro-vrnn[speech]'", "--data FOLDER"):
        load(DataOptions(), seed=0)


def test_what_espeak_refuses_is_said_in_one_line(tmp_path: Path, espeak: Path, refused: Refused) -> None:
    with refused("eSpeak NG failed", "unknown voice xx+m1"):
        render_voice(VOICES[0]._replace(accent="xx"), SENTENCES[:1], tmp_path / "clips")
