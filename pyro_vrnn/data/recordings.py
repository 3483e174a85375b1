"""A folder of audio files as frames: what was found, what was left out and why."""

import hashlib
import math
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import DataError
from .audio import FORMATS, SUFFIXES, Grid, Header, UnusableError, decode, probe
from .kinds import Kind
from .options import DataOptions

PIECE = 1 << 20  # samples looked at once: what is allocated on the way does not grow with a recording

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many items are done, and how many there are."""


class Skipped(NamedTuple):
    """A file that was left out, by its path relative to the folder."""

    path: str
    reason: str


class Clip(NamedTuple):
    """One file's whole frames: stored samples of shape `(T, frame)`, int16 or float32 amplitudes."""

    name: str
    frames: np.ndarray


class Recordings(NamedTuple):
    """Everything usable in a folder, in the order of the names, and the counts of what is not.

    Attributes:
        clips: The files' frames.
        sample_rate: Their common rate in Hz.
        grid: Their common grid: the finest one; no `lsb` as soon as one file holds floats.
        skipped: What was left out.
        dropped: Samples of incomplete frames or segments at the ends of clips.
        constant_clips: Clips of one value only, such as digital silence.
        constant_frames: Frames of one value only.
        checksum: SHA-256 over name and content of every used file.
    """

    clips: list[Clip]
    sample_rate: int
    grid: Grid
    skipped: tuple[Skipped, ...]
    dropped: int
    constant_clips: int
    constant_frames: int
    checksum: str


def segment_frames(options: DataOptions, sample_rate: int) -> int | None:
    """Frames a segment, or None where clips stay whole.

    Raises:
        DataError: A segment would be shorter than two frames.
    """
    if not options.segment:
        return None
    frames = round(options.segment * sample_rate / options.frame)
    if frames < 2:
        raise DataError(
            f"--segment {options.segment:g}: shorter than two frames of {options.frame} samples at {sample_rate} Hz; "
            f"pass at least {2 * options.frame / sample_rate:g} seconds"
        )
    return frames


def read_recordings(options: DataOptions, progress: Progress | None = None) -> Recordings:
    """Read every audio file of `options.source`, a folder or one file.

    Raises:
        DataError: There is nothing usable, or files differ in what no default can decide (channels, rates).
    """
    root, names, skipped = _find(options.source)
    headers: dict[str, Header] = {}
    for name in names:
        try:
            headers[name] = probe(root / name)
        except UnusableError as reason:
            skipped.append(Skipped(name, str(reason)))
    _nothing_left(options.source, headers, skipped)
    rate = common_rate(options, headers)
    if options.dither:
        check_integers(options, headers, rate)
    segment = segment_frames(options, rate)
    clips: list[Clip] = []
    digest = hashlib.sha256()
    dropped = constant_clips = constant_frames = 0
    for done, (name, header) in enumerate(headers.items(), start=1):
        try:
            samples = decode(root / name, header, rate=rate)
            frames = _frames(samples, options, segment)
            content = digest_of(root / name)
        except UnusableError as reason:
            skipped.append(Skipped(name, str(reason)))
        else:
            clips.append(Clip(name, frames))
            digest.update(os.fsencode(name) + b"\0" + content)
            dropped += samples.size - frames.size
            constant = count_constant(frames)
            constant_frames += constant
            constant_clips += constant == len(frames) and bool(frames[:, 0].min() == frames[:, 0].max())
        if progress is not None:
            progress("reading", done, len(headers))
    _nothing_left(options.source, clips, skipped)
    used = [headers[clip.name] for clip in clips]
    return Recordings(
        clips=clips,
        sample_rate=rate,
        grid=common_grid(used, rate),
        skipped=tuple(sorted(skipped)),
        dropped=dropped,
        constant_clips=constant_clips,
        constant_frames=constant_frames,
        checksum=digest.hexdigest(),
    )


def count_constant(frames: np.ndarray, kind: Kind = "audio") -> int:
    """How many frames, of shape `(T, frame)`, a density of continuous values has no upper bound at.

    Of sound those of one value only, looked at in pieces of bounded size; of a pen those with an offset of 0; of arrays
    those equal to the one before.
    """
    if kind == "pen":
        return int((frames[:, :2] == 0).any(axis=1).sum())
    if kind == "arrays":
        return int((frames[1:] == frames[:-1]).all(axis=1).sum())
    size = max(1, PIECE // frames.shape[1])
    pieces = (frames[start : start + size] for start in range(0, len(frames), size))
    return sum(int((piece == piece[:, :1]).all(axis=1).sum()) for piece in pieces)


def _find(source: str) -> tuple[Path, list[str], list[Skipped]]:
    """The folder, its audio files' relative POSIX paths in order, and links that leave it."""
    root = Path(source).expanduser()
    try:
        if root.is_file():
            return root.parent, [root.name], []
        if not root.is_dir():
            raise DataError(
                f"--data {source}: no such folder; expected an embedded set's name, a prepared corpus or a folder of "
                "audio files"
            )
        skipped: list[Skipped] = []
        names = sorted(walk(str(root), "", os.path.realpath(root), skipped))
    except OSError as error:
        raise DataError(f"--data {source}: {error.filename or source} cannot be read: {error.strerror}") from None
    if not names and not skipped:
        raise DataError(
            f"--data {source}: no audio files in this folder; expected {FORMATS} files; strokes and arrays: "
            "make them ready by data prepare first"
        )
    return root, names, skipped


def walk(
    folder: str, prefix: str, root: str, skipped: list[Skipped], suffixes: Collection[str] | None = SUFFIXES
) -> Iterator[str]:
    """Relative POSIX paths of the files under a folder; links that leave it or lead nowhere are skipped.

    Args:
        folder: Where to look.
        prefix: Its path relative to the root, with a slash at its end.
        root: The real path that links must not leave.
        skipped: What is left out is appended here.
        suffixes: In lower case, of wanted files; None for all.
    """
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            is_wanted = suffixes is None or os.path.splitext(entry.name)[1].lower() in suffixes
            if entry.is_dir(follow_symlinks=False):
                yield from walk(entry.path, name + "/", root, skipped, suffixes)
            elif entry.is_symlink() and entry.is_dir():
                skipped.append(Skipped(name, "a symbolic link to a folder, which is not followed"))
            elif not is_wanted:
                continue
            elif entry.is_symlink() and not os.path.realpath(entry.path).startswith(os.path.join(root, "")):
                skipped.append(Skipped(name, "a symbolic link that leaves the folder"))
            elif entry.is_symlink() and not entry.is_file():
                skipped.append(Skipped(name, "a symbolic link to nothing"))
            elif entry.is_file():
                yield name


def _nothing_left(source: str, used: object, skipped: list[Skipped]) -> None:
    if not used:
        first = min(skipped)
        raise DataError(
            f"--data {source}: none of {len(skipped)} audio files is usable, first {first.path}: {first.reason}; "
            f"expected {FORMATS} files of at least two frames"
        )


def common_rate(options: DataOptions, headers: dict[str, Header]) -> int:
    """The rate in Hz at which everything is read.

    Raises:
        DataError: Files differ in what no default can decide (channels, rates).
    """
    if not options.mix:
        for name, header in headers.items():
            if header.channels > 1:
                raise DataError(
                    f"{_path(options, name)}: {header.channels} channels, expected 1; pass --mix to average them"
                )
    rates = Counter(header.rate for header in headers.values())
    examples = {header.rate: name for name, header in reversed(headers.items())}
    if options.resample:
        return options.sample_rate or max(rates, key=lambda rate: (rates[rate], rate))
    expected = options.sample_rate or next(iter(headers.values())).rate
    other = next((rate for rate in sorted(rates) if rate != expected), None)
    if other is None:
        return expected
    if options.sample_rate is None:
        raise DataError(
            f"{_path(options, examples[expected])}: {expected} Hz, but {_path(options, examples[other])}: {other} Hz; "
            f"expected one rate: pass --resample (to the most common rate, or to --sample-rate)"
        )
    raise DataError(
        f"{_path(options, examples[other])}: {other} Hz, expected {expected} Hz; "
        f"pass --resample, or --sample-rate {other}"
    )


def check_integers(options: DataOptions, headers: dict[str, Header], rate: int) -> None:
    """See that every scored sample is one of the file's integers, and that all files count in the same steps.

    Raises:
        DataError: A file for which noise of one step would bound nothing.
    """
    first, (_, _, _, common) = next(iter(headers.items()))
    for name, (own_rate, channels, _, grid) in headers.items():
        if grid.lsb is None:
            reason = "holds floats"
        elif not grid.lossless:
            reason = "is lossy" if grid.dtype is np.int16 else "holds integers of 32 bits, which are stored as floats"
        elif channels > 1 or own_rate != rate:
            reason = "is mixed from several channels" if channels > 1 else f"is resampled from {own_rate} Hz"
        elif grid.lsb != common.lsb:
            reason = f"has {_bits(grid)} bits and {first} {_bits(common)}"
        else:
            continue
        raise DataError(
            f"{_path(options, name)}: {reason}; --dither is for the files' own integers, all of one size; leave it out"
        )


def _bits(grid: Grid) -> int:
    return 1 - int(math.log2(grid.lsb or 1.0))


def _frames(samples: np.ndarray, options: DataOptions, segment: int | None) -> np.ndarray:
    count = samples.size // options.frame
    if count < 2:
        raise UnusableError(f"{samples.size} samples are less than two frames of {options.frame}")
    if segment is not None and count < segment:
        raise UnusableError(f"{samples.size} samples are less than a segment of {segment} frames of {options.frame}")
    count -= count % (segment or 1)
    return samples[: count * options.frame].reshape(count, options.frame)


def common_grid(headers: list[Header], rate: int) -> Grid:
    """The finest grid; no `lsb` as soon as one file holds floats."""
    steps = [header.grid.lsb for header in headers]
    exact = all(header.grid.lossless and header.channels == 1 and header.rate == rate for header in headers)
    dtype = np.float32 if any(header.grid.dtype is np.float32 for header in headers) else np.int16
    return Grid(None if None in steps else min(step for step in steps if step is not None), exact, dtype)


def digest_of(path: Path) -> bytes:
    """SHA-256 of a file.

    Raises:
        UnusableError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise UnusableError(f"cannot be read: {error.strerror}") from None


def _path(options: DataOptions, name: str) -> str:
    path = Path(options.source)
    return str(path if path.is_file() else path / name)
