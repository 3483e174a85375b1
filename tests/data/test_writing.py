"""Sound as a file: what is read back is what was written, to within the rounding that is stated, with its words."""

import io

import numpy as np
import pytest
import soundfile

from pyro_vrnn.data.writing import ROUNDING, clipped, restored, wav_bytes


def test_a_file_holds_values_rate_and_words():
    values = np.random.default_rng(0).uniform(-0.99, 0.99, (3, 200))
    with soundfile.SoundFile(io.BytesIO(wav_bytes(values, 8000, title="a run", comment="mean"))) as file:
        assert (file.samplerate, file.channels, file.subtype) == (8000, 1, "PCM_16")
        assert (file.title, file.comment) == ("a run", "mean")
        assert np.abs(file.read() - values.reshape(-1)).max() <= ROUNDING


def test_what_clips_is_counted_and_held_at_the_end_of_the_range():
    values = np.array([-1.5, -1.0, 0.0, 1.0, 2.0])
    assert clipped(values) == 3
    read, _ = soundfile.read(io.BytesIO(wav_bytes(values, 8000, title="", comment="")), dtype="int16")
    assert read.tolist() == [-(2**15), -(2**15), 0, 2**15 - 1, 2**15 - 1]


def test_values_are_restored_by_what_the_data_were():
    assert restored([[1.0, -1.0]], {"mean": 0.5, "std": 2.0}) == pytest.approx(np.array([[2.5, -1.5]]))
