"""Sound that is written is the values, to half a step, with words about what it is."""

import io

import numpy as np
import soundfile

from pyro_vrnn.data.writing import ROUNDING, clipped, restored, wav_bytes


def test_a_file_holds_values_rate_and_words():
    values = np.random.default_rng(0).uniform(-1, 1 - 2**-15, (5, 40))
    content = wav_bytes(values, 16000, title="a title", comment="mean: of the emission")
    with soundfile.SoundFile(io.BytesIO(content)) as file:
        assert (file.samplerate, file.channels, file.subtype) == (16000, 1, "PCM_16")
        assert (file.title, file.comment) == ("a title", "mean: of the emission")
        read = file.read()
    assert np.abs(read - values.reshape(-1)).max() <= ROUNDING
    assert wav_bytes(read, 16000, title="a title", comment="mean: of the emission") == content


def test_what_clips_is_counted_and_held_at_the_ends():
    values = np.array([-1.5, -1.0, 0.0, 1.0, 2.0])
    assert clipped(values) == 3
    read, _ = soundfile.read(io.BytesIO(wav_bytes(values, 8000, title="", comment="c")))
    assert read.tolist() == [-1.0, -1.0, 0.0, 1 - 2**-15, 1 - 2**-15]


def test_values_are_what_they_were_before_standardising():
    assert restored(np.ones((2, 3)), {"mean": [1, 2, 0], "std": [2, 3, 1]}).tolist() == [[3, 5, 1]] * 2
