"""The paper's corpora, in small folders of their exact formats, from `data prepare` to a trained model."""

import json

import pytest

from tests.data.corpora import WRITERS

from .conftest import SMALL

# Sequences of train, validation and test, and the lengths they may have in frames or points.
EXPECTED = {
    "timit": ({"train": 12, "validation": 4, "test": 8}, range(13, 37)),
    "blizzard": (None, range(40, 41)),
    "onomatopoeia": ({"train": 22, "validation": 1, "test": 1}, range(10, 19)),
    "accent": (None, range(40, 41)),
    "iam-ondb": ({"train": 5, "validation": 2, "test": 2}, range(47, 48)),
}


@pytest.mark.parametrize(
    ("corpus", "variant"),
    [
        ("timit", "vrnn-gauss"),
        pytest.param("blizzard", "vrnn-i", marks=pytest.mark.slow),
        pytest.param("onomatopoeia", "rnn-gmm", marks=pytest.mark.slow),
        pytest.param("accent", "rnn-gauss", marks=pytest.mark.slow),
        ("iam-ondb", "vrnn-gmm"),
    ],
)
def test_a_corpus_as_it_is_distributed_becomes_a_model(corpus, variant, command, tmp_path):
    source = WRITERS[corpus](tmp_path / "source")
    ended = command("data", "prepare", corpus, source, "--out", "cache", "--jobs", "1")
    assert ended.status == 0, ended.err
    ended = command(
        *("fit", "--preset", corpus, "--data", "cache", "--variant", variant, "--epochs", "1", "--name", "one"),
        *(*SMALL, "--set", "evaluation.particles=2", "--set", "evaluation.repetitions=1"),
    )
    assert ended.status == 0, ended.err
    assert "epoch 1/1" in ended.out

    counts, lengths = EXPECTED[corpus]
    (results,) = (tmp_path / "mlruns/runs").glob("*/results.json")
    told = json.loads(results.read_text())["data"]
    found = {part: told[f"{part}_sequences"] for part in ("train", "validation", "test")}
    assert found == counts if counts else all(found.values())
    assert told["frames"] in range(lengths.start * sum(found.values()), (lengths.stop - 1) * sum(found.values()) + 1)
    if corpus != "iam-ondb":
        assert told["sample_rate"] == 16000


def test_options_of_a_corpus_reach_its_protocol(command, tmp_path):
    for corpus in ("timit", "blizzard", "iam-ondb"):
        WRITERS[corpus](tmp_path / corpus)
    ended = command(
        "data", "prepare", "timit", "timit", "--out", "t", "--jobs", "1", "--sa", "drop", "--validation", "0.5"
    )
    assert ended.status == 0, ended.err
    assert "2 of 4 speakers" in ended.out
    assert "train: 4 sequences, 2 speakers" in ended.out
    ended = command("data", "prepare", "blizzard", "blizzard", "--out", "b", "--jobs", "1", "--edition", "segmented")
    assert "segmented edition, 8 recordings" in ended.out
    for wrong, message in {
        ("timit", "--lists", "t1"): "--lists: timit has no such option",
        ("timit", "--test", "0.1"): "--test: timit has parts of its own",
        ("iam-ondb", "--validation", "0.2"): "--validation: iam-ondb has parts of its own",
        ("iam-ondb", "--split", "random"): "--split: iam-ondb has parts of its own",
    }.items():
        ended = command("data", "prepare", wrong[0], wrong[0], "--out", "wrong", *wrong[1:])
        assert ended.status == 2
        assert message in ended.err
        assert not (tmp_path / "wrong").exists()
