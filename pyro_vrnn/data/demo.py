"""The embedded corpus `demo-speech`: English sentences read by many voices of eSpeak NG.

Synthesised speech is digitally silent in its pauses, where a density of continuous values has no upper bound. So every
clip gets what a recording has: a quiet floor of noise.
"""

import hashlib
import importlib.util
import json
import subprocess
import sys
import tempfile
import wave
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import NamedTuple

import numpy as np
import soundfile
import soxr

from ..errors import DataError
from .cache import cached
from .recordings import Progress
from .sentences import SENTENCES

SAMPLE_RATE = 16000
SPEAKER_PATTERN = "^([^/]+)/"
SEGMENT = 0.5  # seconds, as the paper cuts Blizzard: 24 voices are few clips, but enough segments for many steps

FORMAT = 1  # raise it when clips are made differently
LOUDNESS = 0.08  # root mean square amplitude of a clip
PEAK = 0.95
FLOOR = 8 * 2.0**-15  # standard deviation of the noise, as in quiet passages of good recordings
EDGE = 0.06  # seconds kept before the first and after the last sound
SOUND = 0.004  # amplitude of the synthesiser's output from which something is a sound
LONGEST_PATH = 159  # bytes; eSpeak NG cuts longer paths of its data off
TIMEOUT = 120  # seconds a voice; it takes well under one


class Voice(NamedTuple):
    """A speaker: eSpeak NG's accent and variant, words a minute, and pitch (0 to 100)."""

    name: str
    accent: str
    variant: str
    rate: int
    pitch: int


VOICES = tuple(
    Voice(*row)
    for row in (
        ("arthur", "en", "m1", 165, 42),
        ("bridget", "en-gb-scotland", "f2", 160, 52),
        ("calvin", "en-us", "m3", 172, 40),
        ("dinah", "en-us", "f3", 168, 55),
        ("edmund", "en-gb-x-rp", "m2", 155, 36),
        ("flora", "en-gb-x-rp", "f1", 162, 50),
        ("garvin", "en-029", "m4", 166, 45),
        ("hattie", "en-029", "f4", 160, 48),
        ("isaac", "en-us-nyc", "m6", 178, 50),
        ("joyce", "en-us-nyc", "f5", 174, 46),
        ("kenneth", "en-gb-x-gbclan", "m5", 164, 38),
        ("lydia", "en-gb-x-gbclan", "Annie", 170, 58),
        ("malcolm", "en-gb-scotland", "m7", 158, 44),
        ("nora", "en-gb-x-gbcwmd", "f2", 166, 60),
        ("oscar", "en-gb-x-gbcwmd", "m8", 170, 47),
        ("phoebe", "en", "f3", 176, 62),
        ("quentin", "en", "Lee", 162, 50),
        ("rosalind", "en-us", "f1", 158, 45),
        ("stanley", "en-us", "boris", 168, 34),
        ("tabitha", "en-gb-scotland", "f4", 172, 56),
        ("ulric", "en-gb-x-rp", "robert", 160, 48),
        ("verity", "en", "steph", 164, 52),
        ("warren", "en-029", "max", 174, 40),
        ("yvonne", "en-us-nyc", "aunty", 163, 50),
    )
)


def prepare(progress: Progress | None = None) -> Path:
    """The folder with `demo-speech`, `<voice>/<number>.wav`, rendered on first use (seconds) into the cache.

    Raises:
        DataError: The extra `speech` is not installed, or the cache cannot be written.
    """
    recipe = {
        "format": FORMAT,
        "espeakng_loader": _loader_version(),
        "voices": VOICES,
        "sentences": SENTENCES,
        "sound": (SAMPLE_RATE, LOUDNESS, PEAK, FLOOR, EDGE, SOUND),
    }
    digest = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()

    def build(folder: Path) -> dict[str, object]:
        versions = set()
        for done, voice in enumerate(VOICES):
            if progress is not None:
                progress("rendering demo-speech", done, len(VOICES))
            versions.add(render_voice(voice, SENTENCES[done :: len(VOICES)], folder / voice.name))
        if progress is not None:
            progress("rendering demo-speech", len(VOICES), len(VOICES))
        return {"recipe": digest, "format": FORMAT, "espeak": sorted(versions), "loader": recipe["espeakng_loader"]}

    return cached(f"demo-speech-{digest[:12]}", build)


def render_voice(voice: Voice, sentences: Sequence[str], folder: Path) -> str:
    """Write sentences read by one voice as `00.wav`, `01.wav`, ... into a new folder: 16 kHz, 16 bit, mono.

    The same call writes the same bytes on one platform. Returns eSpeak NG's version.

    Raises:
        DataError: The extra `speech` is not installed, or eSpeak NG failed.
    """
    folder.mkdir()
    with tempfile.TemporaryDirectory(prefix="vrnn") as raw:
        espeak = _speak(voice, sentences, Path(raw))
        for number in range(len(sentences)):
            spoken, rate = soundfile.read(Path(raw) / f"{number:02d}.wav", dtype="float32")
            key = hashlib.sha256(f"{voice.name}/{number}".encode()).digest()
            clip = _as_recorded(spoken, rate, np.random.default_rng(list(key)))
            _write(folder / f"{number:02d}.wav", clip)
    return espeak


def _as_recorded(spoken: np.ndarray, rate: int, generator: np.random.Generator) -> np.ndarray:
    """A trimmed clip of even loudness over a floor of noise: int16 samples at `SAMPLE_RATE`, shape `(n,)`."""
    sounds = np.flatnonzero(np.abs(spoken) > SOUND)
    if not sounds.size:
        raise DataError("demo-speech: eSpeak NG spoke nothing; reinstall the extra `speech` or pass --data FOLDER")
    edge = round(EDGE * rate)
    x = soxr.resample(spoken[max(0, sounds[0] - edge) : sounds[-1] + edge].astype(np.float64), rate, SAMPLE_RATE)
    x *= min(LOUDNESS / np.sqrt(np.mean(x * x)), PEAK / np.abs(x).max())
    x += FLOOR * generator.standard_normal(x.size)
    return np.clip(np.rint(x * 2**15), -(2**15), 2**15 - 1).astype(np.int16)


def _write(path: Path, clip: np.ndarray) -> None:
    # Not soundfile: on a full disk that raises what the cache would not recognise.
    with path.open("wb") as target, wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(clip.astype("<i2").tobytes())


def _speak(voice: Voice, sentences: Sequence[str], folder: Path) -> str:
    """Have a fresh process write the synthesiser's own output, and return eSpeak NG's version."""
    _loader_version()
    import espeakng_loader

    with tempfile.TemporaryDirectory(prefix="vrnn") as near:
        data = espeakng_loader.get_data_path()
        if len(data.encode()) > LONGEST_PATH:
            others = ignore_patterns("[!e]*_dict", "e[!n]*_dict")
            data = str(copytree(data, Path(near) / "espeak-ng-data", ignore=others))
        request = {
            "library": espeakng_loader.get_library_path(),
            "data": data,
            "voice": f"{voice.accent}+{voice.variant}",
            "rate": voice.rate,
            "volume": 60,  # the louder variants clip at eSpeak NG's own 100
            "pitch": voice.pitch,
            "sentences": list(sentences),
            "folder": str(folder),
        }
        program = [sys.executable, "-I", str(Path(__file__).with_name("espeak.py"))]
        try:
            done = subprocess.run(program, input=json.dumps(request), capture_output=True, text=True, timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            raise DataError(f"demo-speech: eSpeak NG took more than {TIMEOUT} s; pass --data FOLDER") from None
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise DataError(
            f"demo-speech: eSpeak NG failed ({said[0]}); reinstall the extra `speech` or pass --data FOLDER"
        )
    return str(json.loads(done.stdout.splitlines()[-1])["version"])


def _loader_version() -> str:
    try:
        if importlib.util.find_spec("espeakng_loader") is None:
            raise PackageNotFoundError
        return version("espeakng-loader")
    except PackageNotFoundError:
        raise DataError(
            "demo-speech needs eSpeak NG: install the extra `speech` (pip install 'pyro-vrnn[speech]') "
            "or pass --data FOLDER"
        ) from None
