"""What a compressor of audio makes of the samples that are scored: a yardstick in bits for models."""

import tempfile
from pathlib import Path

import numpy as np
import soundfile

from .sequences import Sequences

BLOCK = 1 << 20  # samples written at once

# Rates that frames of a streamable FLAC file can state: all to 65535 Hz, multiples of 10 to 655350 Hz.
_FINE, _COARSE, _OTHER = 65535, 655350, 48000


def flac_bits_per_sample(sequences: Sequences, *, lossless: bool) -> float | None:
    """Bits a sample of a 16-bit FLAC file of all whole frames, at the highest compression; its header counts too.

    Integers of 8 bits are stored as multiples of 256: FLAC leaves out the bits that are zero in a whole block, so that
    they cost what their own steps cost.

    Args:
        sequences: The scored part.
        lossless: Whether its samples are the source's integers (`Corpus.lossless`).

    Returns:
        None where that would say nothing of the source, because it is no sound, not lossless or has more than 16 bits.
    """
    if sequences.kind != "audio" or not lossless or any(sequences.stored(i) != np.int16 for i in range(len(sequences))):
        return None
    with tempfile.TemporaryDirectory(prefix="vrnn") as folder:
        path = Path(folder) / "all.flac"
        write_flac(path, sequences)
        return 8 * path.stat().st_size / (int(sequences.lengths.sum()) * sequences.frame)


def write_flac(path: Path, sequences: Sequences) -> None:
    """Write the stored int16 samples of all sequences, one after another in their order, as one FLAC file."""
    rate = sequences.sample_rate
    assert rate is not None  # sound has one
    if rate > _COARSE or (rate > _FINE and rate % 10):
        rate = _OTHER  # no sample and no prediction depends on it
    block = max(1, BLOCK // sequences.frame)  # frames
    with soundfile.SoundFile(path, "w", rate, 1, "PCM_16", format="FLAC", compression_level=1.0) as file:
        for i in range(len(sequences)):
            for start in range(0, int(sequences.lengths[i]), block):
                file.write(np.ascontiguousarray(sequences.samples(i, start, start + block).reshape(-1)))
