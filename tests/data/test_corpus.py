"""From a folder to standardised parts."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydantic
import pytest
import torch

from pyro_vrnn.data import Corpus, DataOptions, Normaliser, load, read
from pyro_vrnn.data.sequences import Sequences

from .files import Refused, noise, tone, write, write_clips


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for speaker in range(5):
        write_clips(tmp_path / "clips" / f"s{speaker}", [1000, 1450, 2000, 3100])
    return tmp_path / "clips"


def parts(corpus: Corpus) -> list[Sequences]:
    return [corpus.train, corpus.validation, corpus.test]


def test_the_training_part_is_standardised(folder: Path) -> None:
    corpus = load(DataOptions(source=str(folder)), seed=0)
    train = np.concatenate([x.ravel() for x in corpus.train]).astype(np.float64)
    assert train.mean() == pytest.approx(0, abs=1e-6)
    assert train.std() == pytest.approx(1, abs=1e-6)
    amplitudes = np.concatenate([corpus.train.samples(i).ravel() for i in range(len(corpus.train))]) / 2**15
    assert corpus.normaliser.mean == pytest.approx(amplitudes.mean(), rel=1e-12)
    assert corpus.normaliser.std == pytest.approx(amplitudes.std(), rel=1e-12)
    assert corpus.std_lsb == pytest.approx(amplitudes.std() * 2**15)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_standardised_values_are_those_of_the_source(tmp_path: Path, subtype: str) -> None:
    clips = {f"{i}.wav": tone(2000 + i, hertz=100 + i) for i in range(4)}
    for name, clip in clips.items():
        write(tmp_path / name, clip, subtype=subtype)
    corpus = load(DataOptions(source=str(tmp_path)), seed=0)
    for sequences in parts(corpus):
        for name, x in zip(sequences.names, sequences, strict=True):
            assert x.dtype == np.float32
            assert x.shape == (10, 200)
            restored = corpus.normaliser.restore(x.astype(np.float64))
            np.testing.assert_allclose(
                restored.ravel(), clips[name][:2000], atol=2**-15 if subtype == "PCM_16" else 1e-6
            )
            back = corpus.normaliser.standardise(torch.tensor(restored))
            np.testing.assert_allclose(back, x, atol=1e-6)


def test_sequences(folder: Path) -> None:
    train = load(DataOptions(source=str(folder), speaker_pattern="(s.)/"), seed=0).train
    assert len(train) == len(list(train)) == len(train.names) == len(train.speakers or ())
    assert [len(x) for x in train] == train.lengths.tolist()
    assert [name[:2] for name in train.names] == train.speakers
    assert train.seconds == pytest.approx(train.lengths.sum() * 200 / 16000)
    some = train[3:7]
    assert some.names == train.names[3:7]
    np.testing.assert_array_equal(some[0], train[3])
    np.testing.assert_array_equal(train[-1], train[len(train) - 1])
    with pytest.raises(IndexError):
        train[len(train)]
    copy = pickle.loads(pickle.dumps(train))
    np.testing.assert_array_equal(copy[2], train[2])


def test_seeds_choose_the_split_and_nothing_else_does(folder: Path) -> None:
    options = DataOptions(source=str(folder), validation=0.2, test=0.2)
    first, again, other = (load(options, seed=seed) for seed in (0, 0, 1))
    assert [p.names for p in parts(first)] == [p.names for p in parts(again)]
    assert first.normaliser == again.normaliser
    assert first.test.names != other.test.names
    assert first.checksum == other.checksum


def test_segments_of_a_clip_stay_together(folder: Path) -> None:
    whole = load(DataOptions(source=str(folder)), seed=0)
    cut = load(DataOptions(source=str(folder), segment=0.05), seed=0)
    assert cut.clips == whole.clips
    for pieces, clips in zip(parts(cut), parts(whole), strict=True):
        assert set(pieces.lengths.tolist()) == {4}
        assert [name.split("#")[0] for name in pieces.names if name.endswith("#0")] == clips.names
        for position, name in enumerate(pieces.names):
            path, number = name.split("#")
            clip = clips.samples(clips.names.index(path))
            np.testing.assert_array_equal(pieces.samples(position), clip[4 * int(number) :][:4])


def test_a_silent_training_part_is_refused(tmp_path: Path, refused: Refused) -> None:
    for i in range(4):
        write(tmp_path / f"{i}.wav", np.full(1000, 3, np.int16))
    with refused("--data", "digital silence"):
        load(DataOptions(source=str(tmp_path)), seed=0)


def test_what_is_said_about_splits_is_checked_before_reading(refused: Refused) -> None:
    with refused("--split speaker"):
        load(DataOptions(source="nowhere", split="speaker"), seed=0)


def test_description(folder: Path) -> None:
    write(folder / "s0" / "silent.wav", np.zeros(400, np.int16))
    (folder / "s0" / "text.wav").write_text("text")
    corpus = load(DataOptions(source=str(folder), speaker_pattern="(s.)/"), seed=0)
    seen = corpus.describe()
    assert seen["clips"] == 21
    assert seen["speakers"] == corpus.speakers == 5
    assert seen["frames"] == seen["train_frames"] + seen["validation_frames"] + seen["test_frames"] == 5 * 37 + 2
    assert seen["hours"] == pytest.approx((5 * 37 + 2) * 200 / 16000 / 3600)
    assert seen["dropped_samples"] == 5 * (50 + 100)
    assert (seen["skipped_files"], seen["constant_clips"], seen["constant_frames"]) == (1, 1, 2)
    assert (seen["lsb"], seen["lossless"]) == (2**-15, True)
    text = "\n".join(corpus.lines())
    for part in [
        "21 clips, 5 speakers",
        "16000 Hz",
        corpus.checksum[:12],
        "text.wav",
        "digital silence",
        "750 samples",
    ]:
        assert part in text


def test_another_normaliser(folder: Path) -> None:
    corpus = load(DataOptions(source=str(folder)), seed=0)
    other = corpus.with_normaliser(Normaliser(0.25, 2.0))
    assert other.normaliser == other.test.normaliser == Normaliser(0.25, 2.0)
    np.testing.assert_allclose(other.test[0], (corpus.test.samples(0) / 2**15 - 0.25) / 2, atol=1e-6)


def test_reading_without_a_split(folder: Path) -> None:
    (folder / "text.wav").write_text("text")
    normaliser = Normaliser(0.0, 0.5)
    sequences, skipped, *_ = read(DataOptions(source=str(folder)), normaliser)
    assert len(sequences) == 20
    assert sequences.names == sorted(sequences.names)
    assert [path for path, _ in skipped] == ["text.wav"]
    one, *_ = read(DataOptions(source=str(folder / "s1" / "002.wav")), normaliser)
    assert one.names == ["002.wav"]
    np.testing.assert_allclose(one[0].ravel(), noise(2000, seed=2) / 2**14, atol=1e-6)


def test_options_are_documented_frozen_and_closed() -> None:
    assert all(field.description for field in DataOptions.model_fields.values())
    with pytest.raises(pydantic.ValidationError):
        DataOptions(sauce="x")  # type: ignore[call-arg]
    for wrong in ({"frame": 0}, {"validation": 0.0}, {"test": 1.0}, {"segment": -1.0}, {"split": "none"}):
        with pytest.raises(pydantic.ValidationError):
            DataOptions(**wrong)
    assert DataOptions.model_validate(DataOptions(frame=80).model_dump()) == DataOptions(frame=80)


def test_options_are_cheap_to_import() -> None:
    program = (
        "import sys; from pyro_vrnn.data import DataOptions, EMBEDDED, LazyFrames, batches, scoring_batches; "
        "assert callable(batches) and 'demo-speech' in EMBEDDED; "
        "print([m for m in ('numpy', 'torch', 'soundfile') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
