"""``data prepare``, and what is done with a prepared corpus."""

import json
import shutil

import numpy as np
import pytest

from pyro_vrnn.data.prepared import corpora
from pyro_vrnn.data.prepared.corpora import Recipe
from pyro_vrnn.data.readers import Contents, Item
from pyro_vrnn.tracking import find_run

from ..data.files import all_arrays
from .conftest import SMALL, record, untrained

URI = "sqlite:///mlruns/mlflow.db"


@pytest.fixture
def pen(tmp_path, monkeypatch):
    def read(path, name):
        return Contents((Item(name, np.load(path)),), ())

    monkeypatch.setitem(corpora.CORPORA, "strokes", Recipe("pen", read, all_arrays, {}))
    (tmp_path / "pen").mkdir()
    for i in range(9):
        rows = np.random.default_rng(i).integers(-9, 9, (6 + i, 3), dtype=np.int16)
        rows[:, 2] = np.arange(6 + i) % 3 == 2
        np.save(tmp_path / "pen" / f"{i}.npy", rows)
    return tmp_path / "pen"


def test_a_corpus_is_prepared_trained_on_resumed_and_scored(command, tmp_path):
    folder = record(tmp_path / "tones")
    ended = command("data", "prepare", "audio", folder, "--out", "cache", "--jobs", "1", "--seed", "3", "--test", "0.1")
    assert ended.status == 0, ended.err
    for said in ("cache: 40 clips", "test: 4 sequences", "cli.py fit --data cache"):
        assert said in ended.out
    again = command("data", "prepare", "audio", folder, "--out", "cache", "--seed", "3", "--test", "0.1")
    assert "was prepared already" in again.out
    fit = command("fit", "--data", "cache", "--epochs", "1", "--name", "a", "--variant", "rnn-gauss", *SMALL)
    assert fit.status == 0, fit.err
    run = find_run("a", uri=URI)
    assert run.tags["data.checksum"] == json.loads((tmp_path / "cache" / "manifest.json").read_text())["checksum"]
    more = command("fit", "--resume", "a", "--epochs", "2")
    assert more.status == 0, more.err
    assert "after step 2" in more.out
    assert command("evaluate", "a", "--split", "validation").status == 0
    assert command("score", "a", "cache", "--out", "s.csv").status == 0
    assert command("encode", "a", "cache", "--out", "e.npz").status == 0
    folder.rename(tmp_path / "gone")
    assert command("evaluate", "a").status == 0, "the source is not needed any more"


def test_another_corpus_in_its_place_is_seen(command, tmp_path):
    folder = record(tmp_path / "tones")
    assert command("data", "prepare", "audio", folder, "--out", "cache", "--jobs", "1").status == 0
    model = untrained(tmp_path / "model", source="cache")
    (tmp_path / "cache").rename(tmp_path / "before")
    assert command("data", "prepare", "audio", folder, "--out", "cache", "--jobs", "1", "--seed", "1").status == 0
    ended = command("evaluate", model)
    assert (ended.status, "its files are not those the run was trained on" in ended.err) == (2, True)
    shutil.rmtree("cache")
    ended = command("evaluate", model)
    assert (ended.status, "is not there any more; put it back" in ended.err) == (2, True)


def test_rows_without_a_rate_have_no_times(command, tmp_path, pen):
    ended = command("data", "prepare", "strokes", pen, "--out", "cache", "--jobs", "1")
    assert ended.status == 0, ended.err
    assert "9 sequences, 90 points of 3 values" in ended.out
    model = untrained(tmp_path / "model", "rnn-gauss", source="cache")
    assert command("score", model, "cache", "--out", "s.csv").status == 0
    assert (tmp_path / "s.csv").read_text().splitlines()[0] == '"sequence","frame","nats","bits_per_sample","pen"'
    assert "seconds" not in (tmp_path / "s.sequences.csv").read_text().splitlines()[0]
    assert command("encode", model, "cache", "--out", "e.npz").status == 0
    with np.load(tmp_path / "e.npz") as held:
        assert sorted(held) == [f"{i}.npy.h" for i in range(9)]
    assert command("encode", model, "cache", "--out", "e.parquet").status == 0
    assert command("evaluate", model, "--out", "found.json").status == 0
    assert "flac" not in (tmp_path / "found.json").read_text()


def test_a_model_is_not_given_data_of_another_kind(command, tmp_path, pen):
    assert command("data", "prepare", "strokes", pen, "--out", "cache", "--jobs", "1").status == 0
    pens = untrained(tmp_path / "pens", "rnn-gauss", source="cache")
    tones = record(tmp_path / "tones", 5)
    sounds = untrained(tmp_path / "sounds", "rnn-gauss", source=str(tones))
    for model, data, said in ((pens, tones, "sound, but the model was trained on pen strokes"),
                              (sounds, "cache", "pen strokes, but the model was trained on sound")):  # fmt: skip
        ended = command("evaluate", model, "--data", data)
        assert (ended.status, said in ended.err) == (2, True), ended.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere", "--out", "c"], "nowhere: no such folder or file"),
        (["tones", "--out", "tones/c"], "lies in the source"),
        (["tones", "--out", "c", "--sample-rate", "4000"], "expected 4000 Hz; pass --resample"),
        (["tones", "--out", "c", "--sa", "drop"], "has no such option"),
        (["tones", "--out", "c", "--validation", "2"], "validation"),
        (["tones", "--out", "c", "--split", "list"], "no list"),
    ],
)
def test_mistakes_are_one_line(command, tmp_path, arguments, said):
    record(tmp_path / "tones", 5)
    ended = command("data", "prepare", "audio", *arguments)
    assert (ended.status, ended.err.count("\n")) == (2, 1), ended.err
    assert said in ended.err
    assert not (tmp_path / "c").exists()
