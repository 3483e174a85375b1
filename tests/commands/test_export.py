"""``export``: a folder that loads anywhere, whole or not there."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from pyarrow.csv import read_csv

import pyro_vrnn
from pyro_vrnn import serving
from pyro_vrnn.data import load
from pyro_vrnn.tracking import TrackedRun, find_run
from pyro_vrnn.training import files

from .conftest import SMALL, record

URI = "sqlite:///mlruns/mlflow.db"
FIT = ["--data", "tones", "--epochs", "1", "--set", "evaluation.particles=2", *SMALL]


def padded(run):
    """A run's test sequences in their own values, padded with what is no number."""
    test = load(run.config.data, seed=0).test
    frames = np.full((len(test), test.lengths.max(), test.frame), np.nan, np.float32)
    for row, x in enumerate(test):
        frames[row, : len(x)] = test.normaliser.restore(x)
    return frames, test.lengths


@pytest.fixture
def fitted(command, tmp_path):
    record(tmp_path / "tones", 20)
    ended = command("fit", "--variant", "vrnn-gauss", "--name", "first", *FIT)
    assert ended.status == 0, ended.err
    return command


def test_the_folder_is_the_run_and_mlflow_scores_as_evaluate_does(fitted, tmp_path, monkeypatch):
    assert fitted("export", "first", "--out", "a/model").status == 0
    folder = tmp_path / "a" / "model"
    assert {path.name for path in folder.iterdir()} == {"model.safetensors", "config.toml", "data.json", "README.md"}
    assert {path.name for path in folder.parent.iterdir()} == {"model"}
    run, here = pyro_vrnn.load("first"), pyro_vrnn.load(folder)
    assert here.config == run.config
    assert here.data == run.data
    for name, value in run.net.state_dict().items():
        assert torch.equal(here.net.state_dict()[name], value)

    ended = fitted("evaluate", folder, "--estimator", "elbo", "--out", "found.json")
    assert ended.status == 0, ended.err
    results = next((tmp_path / "mlruns" / "runs").glob("*/results.json"))
    kept = json.loads(results.read_bytes())["results"]
    found = json.loads((tmp_path / "found.json").read_bytes())["results"]
    assert found["elbo"] == kept["elbo"]

    card = (folder / "README.md").read_text(encoding="utf-8")
    front, _, text = card.removeprefix("---\n").partition("\n---\n")
    assert 'library_name: "pyro_vrnn"' in front.splitlines()
    assert r"$p(z_t \mid h_{t-1}) = \mathcal N(\mu_{0,t}, \mathrm{diag}\,\sigma_{0,t}^2)$" in text
    assert run.data["checksum"] in text
    assert f"| ≥ {kept['elbo']['nats_per_sequence']:.1f} | ≥ {kept['elbo']['nats_per_frame']:.2f} |" in text
    smc = next(name for name in kept if name.startswith("smc"))
    assert f"| ≈ {kept[smc]['nats_per_sequence']:.1f} |" in text
    assert f"| ≤ {kept['elbo']['bits_per_sample']:.3f} |" in text
    assert "≥ lower bound (≤ on bits); " in text
    assert ":math:" not in text

    registered = fitted("export", "first", "--register", "mine")
    assert registered.status == 0, registered.err
    assert "registered as models:/mine/1" in registered.out.splitlines()
    assert "models:/mine/1" in fitted("export", "first", "--register", "mine").out
    with monkeypatch.context() as patch:
        patch.setattr(serving, "_load_pyfunc", None)
        found = pyro_vrnn.load("models:/mine/1")
    assert found.config == run.config
    scored = fitted("evaluate", "models:/mine/1", "--estimator", "smc", "--particles", "3", "--seed", "5",
                    "--repetitions", "1", "--out", "smc.json")  # fmt: skip
    assert scored.status == 0, scored.err
    expected = read_csv(tmp_path / "smc.sequences.csv")["smc_3"].to_pylist()

    import mlflow

    monkeypatch.setattr("mlflow.tracking._tracking_service.utils._tracking_uri", None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", URI)
    frames, lengths = padded(run)
    asked = {"estimator": "smc", "particles": 3, "seed": 5}
    model = mlflow.pyfunc.load_model("models:/mine/1")
    predicted = model.predict({"frames": frames, "lengths": lengths}, params=asked)
    assert list(predicted["log_likelihood"]) == pytest.approx(expected, rel=1e-4)
    assert set(predicted["estimator"]) == {"smc_3"}
    assert set(predicted["kind"]) == {"consistent"}
    assert list(predicted["frames"]) == list(lengths)
    usual = model.predict({"frames": frames, "lengths": lengths})
    assert set(usual["estimator"]) == {"smc_40"}

    kept = find_run("first", uri=URI)
    client = mlflow.MlflowClient(kept.uri)  # MLflow keeps what it opened by a relative address
    (linked,) = client.get_run(kept.id).outputs.model_outputs
    logged = client.get_logged_model(linked.model_id)
    on_model = {metric.key: metric.value for metric in logged.metrics}
    assert on_model == {name: value for name, value in kept.metrics.items() if name.startswith("test/")}
    assert {metric.dataset_name for metric in logged.metrics} == {"tones-test"}
    assert logged.params["guide"] == "filtering"


def test_what_lies_there_is_kept_unless_it_is_to_be_overwritten(fitted, tmp_path, monkeypatch):
    assert fitted("export", "first", "--out", "model").status == 0
    again = fitted("export", "first", "--out", "model")
    assert (again.status, again.err.count("\n")) == (2, 1)
    assert "--overwrite" in again.err
    (tmp_path / "model" / "README.md").write_text("mine")

    def full(source, target):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pyro_vrnn.commands.exporting.shutil.copyfile", full)
        broken = fitted("export", "first", "--out", "model", "--overwrite")
    assert (broken.status, broken.err.count("\n")) == (2, 1)
    assert (tmp_path / "model" / "README.md").read_text() == "mine"
    assert fitted("export", "first", "--out", "model", "--overwrite").status == 0
    assert (tmp_path / "model" / "README.md").read_text(encoding="utf-8").startswith("---\n")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".model")]

    (tmp_path / "papers").mkdir()
    refused = fitted("export", "first", "--out", "papers", "--overwrite")
    assert refused.status == 2
    assert "not overwritten" in refused.err
    folder = fitted("export", "model", "--out", "other")
    assert (folder.status, folder.err.count("\n")) == (2, 1)
    assert "already" in folder.err


def test_a_run_without_a_model_is_refused(command, tmp_path):
    with TrackedRun.start(uri=URI, experiment="e", name="empty", parameters={}, tags={}):
        pass
    ended = command("export", "empty", "--out", "model")
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "no artifact 'model'" in ended.err
    assert not (tmp_path / "model").exists()


def test_a_folder_takes_its_place_whole(tmp_path):
    there = tmp_path / "there"
    with pytest.raises(IsADirectoryError), files.whole_folder(there) as folder:
        folder.write_text("")
    assert not list(tmp_path.iterdir())
    for text in ("one", "two"):
        with files.whole_folder(there) as folder:
            (folder / "file").write_text(text)
        assert [path.name for path in tmp_path.iterdir()] == ["there"]
        assert (there / "file").read_text() == text


def test_export_says_what_it_lacks(command):
    ended = command("export", "first")
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "--out" in ended.err


@pytest.mark.slow
def test_mlflows_own_command_scores_a_run(fitted, tmp_path):
    assert fitted("export", "first", "--register", "mine").status == 0
    frames, lengths = padded(pyro_vrnn.load("first"))
    given = {"inputs": {"frames": np.nan_to_num(frames).tolist(), "lengths": lengths.tolist()}}
    (tmp_path / "given.json").write_text(json.dumps({**given, "params": {"estimator": "elbo", "seed": 3}}))
    arguments = ["--env-manager", "local", "-m", "models:/mine/1", "-i", "given.json", "-t", "json", "-o", "found.json"]
    subprocess.run(
        [sys.executable, "-m", "mlflow", "models", "predict", *arguments],
        check=True, timeout=300, env={**os.environ, "MLFLOW_TRACKING_URI": URI},
    )  # fmt: skip
    found = json.loads((tmp_path / "found.json").read_bytes())["predictions"]
    expected = serving.Scorer(pyro_vrnn.load("first")).predict(given["inputs"], {"estimator": "elbo", "seed": 3})
    assert [row["log_likelihood"] for row in found] == pytest.approx(list(expected["log_likelihood"]), rel=1e-5)
    assert {row["kind"] for row in found} == {"bound"}
