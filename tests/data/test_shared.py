"""Real recordings, where they are."""

from pathlib import Path

import pytest

from pyro_vrnn.data import DataOptions, load


def test_spoken_digits_and_their_official_split(shared_data: Path) -> None:
    options = DataOptions(
        source=str(shared_data / "fsdd"), test_pattern=r"_[0-4]\.wav$", speaker_pattern=r"_([a-z]+)_\d+\.wav$"
    )
    corpus = load(options, seed=0)
    assert (corpus.clips, len(corpus.test), len(corpus.train) + len(corpus.validation)) == (3000, 300, 2700)
    assert (corpus.sample_rate, corpus.speakers, corpus.skipped) == (8000, 6, ())
    assert corpus.test.lengths.mean() == pytest.approx(16.75, abs=0.005)
    assert (corpus.lsb, corpus.lossless) == (2**-15, True)


def test_one_reader_in_segments_of_half_a_second(shared_data: Path) -> None:
    corpus = load(DataOptions(source=str(shared_data / "kerstin16k"), segment=0.5), seed=0)
    assert corpus.clips == 266
    assert {*corpus.train.lengths, *corpus.test.lengths} == {40}
    assert corpus.lossless
