"""One audio file: what its header announces, and its samples as one channel at one rate."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr

from .gathering import gather
from .sequences import INT16_STEP

SUFFIXES = frozenset({".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".sph", ".nist"})
FORMATS = "WAV, FLAC, OGG, MP3 or NIST SPHERE"

BLOCK = 1 << 20  # samples read at once, those of all channels together
RATIO = 256  # how far apart two rates may be: from 1 Hz, a header of 44 bytes would ask for hours
PAGE = 1 << 16  # bytes; an OGG page has at most 65,307
STREAMED = 0x7FFFF000  # sizes from here on stand for "unknown" in the headers of WAV files written to a pipe

UNKNOWN = 1 << 62  # what libsndfile says of a FLAC stream that does not tell its length

_INTEGERS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
_FLOATS = {"FLOAT", "DOUBLE"}


class UnusableError(Exception):
    """A file that has to be left out; the message is the reason."""


class Grid(NamedTuple):
    """What the samples of a file are.

    Attributes:
        lsb: Amplitude of one step of the file's integers; None for floats; 2**-15 for lossy formats, which are
            rounded to 16 bits.
        lossless: Whether the stored samples are exactly the file's integers. 32-bit ones are not: they are stored and
            scored in float32.
        dtype: How samples are stored: int16, or float32 amplitudes (which hold 24-bit integers exactly).
    """

    lsb: float | None
    lossless: bool
    dtype: type[np.int16] | type[np.float32]


class Header(NamedTuple):
    """What a file announces: its rate in Hz, channels, samples a channel, and the grid of its samples."""

    rate: int
    channels: int
    samples: int
    grid: Grid


def probe(path: Path) -> Header:
    """Read the header of an audio file.

    Raises:
        UnusableError: The file is empty, truncated, unreadable or not audio.
    """
    try:
        with path.open("rb") as file:
            head = file.read(1024)
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise UnusableError(f"cannot be read: {error.strerror}") from None
    if not head:
        raise UnusableError("the file is empty")
    try:
        with soundfile.SoundFile(os.fsencode(path)) as sound:  # a name may hold any bytes
            _check_complete(path, head, size, sound)
            return Header(sound.samplerate, sound.channels, sound.frames, _grid(sound.subtype))
    except soundfile.LibsndfileError as error:
        if b"shorten" in head:
            raise UnusableError("shorten-compressed SPHERE; decompress it with sph2pipe") from None
        raise UnusableError(f"not readable as audio{_detail(error)}") from None


def decode(path: Path, header: Header, *, rate: int) -> np.ndarray:
    """All samples of a file as one channel at a rate: shape `(n,)`, int16 or float32 amplitudes, not to be written to.

    Several channels are averaged, and another rate is converted with soxr; both give amplitudes that are rounded again
    where the file's own samples have at most 16 bits. What a long file holds lies in a temporary file (see `gather`).

    Args:
        path: The file.
        header: What `probe` found.
        rate: The wanted rate in Hz.

    Raises:
        UnusableError: The file ends early, is corrupt, has changed since it was probed, holds values that are not
            finite, or has a rate that is too far from the wanted one.
        DataError: There is no room for a long file's samples.
    """
    if max(header.rate, rate) > RATIO * min(header.rate, rate):
        raise UnusableError(f"{header.rate} Hz is too far from {rate} Hz to be converted")
    return gather(_pieces(path, header, rate=rate), header.grid.dtype, expected=header.samples, what=str(path))


def _pieces(path: Path, header: Header, *, rate: int) -> Iterator[np.ndarray]:
    """The samples as they are stored, in pieces of shape `(n,)`."""
    converted = header.channels > 1 or header.rate != rate
    exact = header.grid.lossless and not converted
    resampler = soxr.ResampleStream(header.rate, rate, 1, dtype="float32") if header.rate != rate else None
    # libsndfile decodes OGG straight to int16 without saturating: loud passages would wrap around.
    for block in _blocks(path, header, dtype="int16" if exact and header.grid.dtype is np.int16 else "float32"):
        if block.dtype == np.float32 and not np.isfinite(block).all():
            raise UnusableError("holds values that are not finite")
        piece = block[:, 0] if header.channels == 1 else block.mean(axis=1, dtype=np.float32)
        if resampler is not None:
            piece = resampler.resample_chunk(np.ascontiguousarray(piece))
        yield _stored(piece, header.grid)
    if resampler is not None:
        yield _stored(resampler.resample_chunk(np.zeros(0, np.float32), last=True), header.grid)


def _blocks(path: Path, header: Header, *, dtype: str) -> Iterator[np.ndarray]:
    """Blocks of shape `(n, channels)`. Samples are counted: a truncated MP3 ends early without any error."""
    seen = 0
    try:
        with soundfile.SoundFile(os.fsencode(path)) as sound:  # a name may hold any bytes
            if Header(sound.samplerate, sound.channels, sound.frames, _grid(sound.subtype)) != header:
                raise UnusableError("changed while it was read")
            while len(block := sound.read(max(1, BLOCK // header.channels), dtype=dtype, always_2d=True)):
                seen += len(block)
                yield block
    except soundfile.LibsndfileError as error:
        raise UnusableError(f"corrupt after {seen} of {header.samples} samples{_detail(error)}") from None
    if seen < header.samples:
        raise UnusableError(f"truncated: {seen} of {header.samples} samples are there")


def _stored(piece: np.ndarray, grid: Grid) -> np.ndarray:
    if piece.dtype == grid.dtype:
        return piece
    return np.clip(np.rint(piece / INT16_STEP), -(2**15), 2**15 - 1).astype(np.int16)


def _grid(subtype: str) -> Grid:
    if subtype in _INTEGERS:
        bits = _INTEGERS[subtype]
        return Grid(2.0 ** (1 - bits), bits <= 24, np.int16 if bits <= 16 else np.float32)
    if subtype in _FLOATS:
        return Grid(None, False, np.float32)
    return Grid(INT16_STEP, False, np.int16)


def _check_complete(path: Path, head: bytes, size: int, sound: soundfile.SoundFile) -> None:
    """Compare with what the header promises: libsndfile quietly announces what is there instead."""
    if sound.frames >= UNKNOWN:
        raise UnusableError("does not say how many samples it has; write it again to a file, not to a pipe")
    if head.startswith(b"OggS"):
        _check_last_page(path, size)
    elif head.startswith(b"NIST"):
        length = head[8:16].strip()
        if not length.isdigit() or int(length) < 1024:
            raise UnusableError("its SPHERE header is damaged: it has no length")
        count = re.search(rb"sample_count -i (\d+)", head)
        if count and sound.frames < int(count[1]):
            raise UnusableError(f"truncated: {sound.frames} of {int(count[1])} samples are there")
    elif head.startswith(b"RIFF") and size < int.from_bytes(head[4:8], "little") + 8:
        # The outer size may also just be written wrongly: what counts is the size of the samples.
        data = re.search(r"data : (\d+) \(should be (\d+)\)", sound.extra_info)
        if data and int(data[2]) < int(data[1]) < STREAMED:
            raise UnusableError(f"truncated: {data[2]} of {data[1]} bytes of samples are there")


def _check_last_page(path: Path, size: int) -> None:
    """See that an OGG file ends with the whole of a page that is marked as the last (RFC 3533, section 6)."""
    with path.open("rb") as file:
        file.seek(max(0, size - PAGE))
        tail = file.read()
    page = tail[max(0, tail.rfind(b"OggS")) :]
    segments = page[26] if len(page) > 26 else 0
    whole = segments and len(page) >= 27 + segments + sum(page[27 : 27 + segments])
    if not (whole and page[5] & 4):
        raise UnusableError("truncated: the end of its stream is missing")


def _detail(error: soundfile.LibsndfileError) -> str:
    # 7 says "File does not exist or is not a regular file (possibly a pipe?)" of every MP3 without a frame.
    text = "" if error.code == 7 else error.error_string.strip().rstrip(".")
    return f" ({text})" if text else ""
