"""``analyze``: figures of the right models, measures equal to the library's, and nothing written on a mistake."""

import csv
import json

import numpy as np
import pytest
from matplotlib.figure import Figure

from pyro_vrnn.commands import picturing
from pyro_vrnn.commands.analyzed import Measured, rows
from pyro_vrnn.commands.picturing import Asked, Member
from pyro_vrnn.commands.subject import subject_of
from pyro_vrnn.measures import ink, sound
from pyro_vrnn.tracking import find_run
from pyro_vrnn.training.saving import load_model

from .conftest import SMALL, record, untrained

FEW = ["--count", "2", "--samples", "3", "--seconds", "0.1"]


@pytest.fixture
def _undrawn(monkeypatch):
    """Files of figures hold nothing: drawing them takes seconds."""
    monkeypatch.setattr(Figure, "savefig", lambda self, file, **options: file.write(b"figure"))


@pytest.fixture
def tones(tmp_path):
    return record(tmp_path / "tones", 30)


def held(folder):
    return json.loads((folder / "analysis.json").read_text())


@pytest.mark.usefixtures("_undrawn")
def test_sound_of_several_models_stands_beside_the_real_one(command, tmp_path, tones):
    vrnn = untrained(tmp_path / "a", "vrnn-gauss", source=str(tones))
    rnn = untrained(tmp_path / "b", "rnn-gmm", source=str(tones))
    ended = command("analyze", vrnn, rnn, "--out", "out", *FEW)
    assert ended.status == 0, ended.err
    assert "rnn-gmm: no latents, so no Fig. 2" in ended.out
    assert "vrnn-gauss: the posterior has collapsed" in ended.out
    figures = ["figure-2-vrnn-gauss", "figure-3-mean", "figure-3-sample", "measures"]
    names = sorted(["analysis.csv", "analysis.json", *(f"{name}.{end}" for name in figures for end in ("png", "svg"))])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    found = held(tmp_path / "out")
    sources = [
        ("real", "real"),
        *((name, written) for name in ("vrnn-gauss", "rnn-gmm") for written in ("sample", "mean")),
    ]
    assert [(each["source"], each["written"]) for each in found["measured"]] == sources
    assert [each["latents"] is None for each in found["runs"]] == [False, True]
    # The numbers are the library's, of what the library draws.
    trained = load_model(rnn)
    subject = subject_of(trained, {}, seed=0)
    real = [x.reshape(-1) for x in picturing.real_samples(subject, 3, 4)]
    made = picturing.made_samples(trained, 3, 4, 0)["mean"]
    expected = sound.measure([np.clip(x, -1, 1).reshape(-1) for x in made], 8000, real)
    numbers = found["measured"][-1]["measures"]
    for name, values in expected.items():
        assert numbers[name]["median"] == pytest.approx(np.median(values), rel=1e-5)
    with (tmp_path / "out" / "analysis.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [float(row["flatness"]) for row in table[-3:]] == pytest.approx(expected["flatness"], rel=1e-5)
    assert len(table) == len(real) + 3 * 4


def test_a_seed_repeats(tmp_path, tones):
    trained = load_model(untrained(tmp_path / "a", source=str(tones)))
    one, two, other = (picturing.made_samples(trained, 2, 3, seed)["sample"] for seed in (1, 1, 2))
    assert (one == two).all()
    assert (one != other).any()


@pytest.mark.usefixtures("_undrawn")
def test_handwriting_has_a_sheet_and_correlations(command, tmp_path):
    model = untrained(tmp_path / "a", "vrnn-gmm", source="demo-handwriting")
    ended = command("analyze", model, "--out", "out", "--count", "1", "--samples", "9")
    assert ended.status == 0, ended.err
    assert (tmp_path / "out" / "figure-4.svg").exists()
    real, made = held(tmp_path / "out")["measured"]
    assert (real["source"], made["source"]) == ("real", "vrnn-gmm")
    assert set(made["measures"]) == set(ink.UNITS)
    assert real["measures"]["slant"]["intraclass"] > 0.5
    assert "ICC" in ended.out


def test_rows_of_numbers_have_fig_2_alone(command, tmp_path):
    model = untrained(tmp_path / "a", source="linear-gaussian")
    ended = command("analyze", model, "--out", "out", "--count", "1")
    assert ended.status == 0, ended.err
    names = ["analysis.json", "figure-2-vrnn-gauss.png", "figure-2-vrnn-gauss.svg"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert (tmp_path / "out" / names[1]).read_bytes()[1:4] == b"PNG"
    assert b"<svg" in (tmp_path / "out" / names[2]).read_bytes()


@pytest.mark.usefixtures("_undrawn")
def test_a_tracked_run_keeps_the_files(command, tmp_path, tones):
    ended = command("fit", "--data", tones, "--max-steps", "1", *SMALL, "--set", "evaluation.particles=2")
    assert ended.status == 0, ended.err
    (reference,) = [path.name for path in (tmp_path / "mlruns" / "runs").iterdir()]
    ended = command("analyze", reference, "--out", "out", *FEW)
    assert ended.status == 0, ended.err
    metrics = find_run(reference, uri=f"sqlite:///{tmp_path}/mlruns/mlflow.db").metrics
    numbers = held(tmp_path / "out")["measured"][1]
    assert metrics["test/sample_flatness"] == pytest.approx(numbers["measures"]["flatness"]["median"])
    kept = {path.name for path in (tmp_path / "mlruns" / "artifacts").rglob("analysis/*")}
    assert kept | {"report.html"} == {path.name for path in (tmp_path / "out").iterdir()}


@pytest.mark.usefixtures("_undrawn")
def test_measures_of_other_parts_and_data_are_called_as_scores_are(command, tmp_path, tones):
    uri = f"sqlite:///{tmp_path}/mlruns/mlflow.db"
    ended = command("fit", "--data", tones, "--max-steps", "1", "--name", "first", *SMALL)
    assert ended.status == 0, ended.err
    for where in (["--split", "validation"], ["--split", "train"], ["--data", record(tmp_path / "other", 3)]):
        before = set(find_run("first", uri=uri).metrics)
        ended = command("analyze", "first", "--out", "out", *where, *FEW)
        assert ended.status == 0, ended.err
        analyzed = set(find_run("first", uri=uri).metrics) - before
        ended = command("evaluate", "first", *where, "--estimator", "elbo")
        assert ended.status == 0, ended.err
        scored = set(find_run("first", uri=uri).metrics) - before - analyzed
        (begin,) = {name.rpartition("/")[0] for name in scored}
        assert f"{begin}/sample_flatness" in analyzed
        assert {name.rpartition("/")[0] for name in analyzed} == {begin}


def test_models_of_different_data_are_refused_and_nothing_is_written(command, tmp_path, tones):
    first = untrained(tmp_path / "a", source=str(tones))
    pen = untrained(tmp_path / "b", source="demo-handwriting")
    frames = untrained(tmp_path / "c", source=str(tones), frame=100)
    fast = untrained(tmp_path / "d", source=str(record(tmp_path / "fast", 30, rate=16000)))
    for other, words in ((pen, "pen strokes"), (frames, "100 values a frame"), (fast, "16000 Hz")):
        ended = command("analyze", first, other, "--out", "out")
        assert ended.status == 2
        assert words in ended.err
        assert ended.err.count("\n") == 1
    (tmp_path / "file").write_text("")
    assert "a file" in command("analyze", first, "--out", "file").err
    assert "--split" in command("analyze", first, "--out", "out", "--split", "train", "--data", tones).err
    assert not (tmp_path / "out").exists()


def test_segments_are_joined_to_real_samples(tmp_path):
    model = load_model(untrained(tmp_path / "a", source=str(record(tmp_path / "t", 30)), segment=0.05))
    subject = subject_of(model, {}, seed=0)
    longest = int(subject.sequences.lengths.max())
    assert longest == 2
    found = picturing.real_samples(subject, 4, 3)
    assert {x.shape for x in found} == {(3, 200)}
    whole = np.concatenate([subject.sequences.samples(i) for i in range(len(subject.sequences))]).ravel() * 2.0**-15
    for x in found:
        start = x.ravel()
        assert any(np.allclose(whole[k : k + 600], start, atol=1e-6) for k in range(0, len(whole) - 599, 200))


def test_what_is_not_finite_is_left_out(tmp_path, tones, monkeypatch):
    trained = load_model(untrained(tmp_path / "a", source=str(tones)))

    def made(trained, count, frames, seed):
        x = np.random.default_rng(0).normal(size=(count, frames, 200)) * 0.1
        x[0, 0, 0], x[1, 0, 0], x[1, 0, 1] = np.nan, 3.0, 1.0  # 16 bits do not hold a 1
        return {"sample": x, "mean": np.full_like(x, np.inf)}

    monkeypatch.setattr(picturing, "made_samples", made)
    member = Member("model", trained, subject_of(trained, {}, seed=0))
    asked = Asked(tmp_path / "out", samples=5, seconds=0.1)
    figures, (_, sample, mean) = picturing.sounds([member], asked, lambda *_: None)
    assert (sample.number, sample.unusable, sample.clipped) == (4, 1, 2)
    assert (mean.number, mean.unusable) == (0, 5)
    assert mean.summary()["peaks"]["median"] is None
    assert len(figures["figure-3-mean"].axes) == 3 + 1 + 1


def test_a_table_has_a_row_a_sample():
    found = [Measured("real", "real", {"a": np.array([1.0, 2])}), Measured("m", "mean", {"a": np.array([np.nan, 4])})]
    table = rows(found)
    assert table["source"].tolist() == ["real", "real", "m", "m"]
    assert table["sample"].tolist() == [0, 1, 0, 1]
    assert found[1].summary()["a"]["median"] == 4
    assert found[1].summary()["a"]["std"] is None
