import json
import re
import shutil
import signal
import time

import numpy as np
import pytest
import soundfile
import torch

import pyro_vrnn
from pyro_vrnn.data import DataOptions, batches
from pyro_vrnn.data import load as load_data
from pyro_vrnn.inference.likelihood import exact
from pyro_vrnn.tracking import find_run, find_runs

from .conftest import SMALL, record, shell

URI = "sqlite:///mlruns/mlflow.db"
ENDLESS = [*SMALL, "--set", "training.patience=1000000"]


def _fit(command, folder, *more, name="first"):
    return command("fit", "--data", folder, "--epochs", "2", "--name", name, *SMALL, *more)


def test_a_fit_says_what_it_does_in_order_and_keeps_it(command, tmp_path):
    folder = record(tmp_path / "tones")
    ended = _fit(command, folder, "--variant", "vrnn-i", "--set", "evaluation.particles=3")
    assert ended.status == 0, ended.err
    said = [
        r"device cpu, \d+ threads, .*seed 0",
        r"40 clips, .* 8000 Hz, .*checksum [0-9a-f]{12}",
        r"vrnn-i \(small\), parameters: [\d,]+ \(phi_x [\d,]+, phi_z \d+, guide \d+, emission [\d,]+, recurrence \d+\)",
        r"run first: 2 epochs of 2 steps, about ",
        r"epoch 1/2  train ≥ .*nats/frame  KL .*validation ≥ .*nats/sequence \*.*frames/s.*left",
        r"epoch 2/2",
        r"test set: 2 sequences",
        r"bound \(ELBO\) +≥ ",
        r"importance sampling, 3 samples +≈ ",
        r"per-step averages, 3 samples +~ ",
        r"particle filter, 3 particles +≈ ",
        r"i\.i\.d\. Gaussian \(reference\) +=",
        r"z is in use|the posterior has collapsed|z differs",
        r"run first \([0-9a-f]{32}\), files in ",
        r"score again: +python cli.py evaluate [0-9a-f]{8} --diagnose",
        r"open the UI: .*workflowType=machine_learning",
    ]
    at = 0
    for pattern in said:
        found = re.compile(pattern).search(ended.out, at)
        assert found, f"{pattern!r} is not in the rest of:\n{ended.out}"
        at = found.end()

    run = find_run("first", uri=URI)
    assert run.status == "FINISHED"
    assert run.parameters["model.variant"] == "vrnn-i"
    assert run.parameters["training.learning_rate"] == "0.001"
    assert {"variant", "data", "guide", "prior", "emission", "seed", "torch", "python"} <= run.tags.keys()
    assert {"train/bound", "train/kl", "validation/elbo", "epoch", "test/elbo", "test/iwae_3"} <= run.metrics.keys()
    results = json.loads((tmp_path / "mlruns/runs" / run.id / "results.json").read_text())
    assert results["results"]["elbo"]["kind"] == "bound"
    assert results["results"]["elbo"]["nats_per_sequence"] == pytest.approx(run.metrics["test/elbo"])

    trained = pyro_vrnn.load("first")
    assert trained.config.model.variant == "vrnn-i"
    assert trained.data["checksum"] == results["data"]["checksum"]

    again = command("evaluate", "first", "--particles", "3", "--out", "scores.json")
    assert again.status == 0, again.err
    scores = json.loads((tmp_path / "scores.json").read_text())["results"]
    assert scores["elbo"]["nats_per_sequence"] == pytest.approx(results["results"]["elbo"]["nats_per_sequence"])
    assert scores["iwae_3"] == results["results"]["iwae_3"]

    more = command("evaluate", "first", "--estimator", "iwae", "--particles", "7", "--split", "validation")
    assert "≈" in more.out
    assert "validation-best/iwae_7" in find_run("first", uri=URI).metrics

    elsewhere = command("evaluate", "first", "--data", record(tmp_path / "others", 3, seed=5), "--estimator", "elbo")
    assert elsewhere.status == 0, elsewhere.err
    assert "3 sequences" in elsewhere.out


def test_a_stored_configuration_repeats_the_run(command, tmp_path):
    folder = record(tmp_path / "tones")
    _fit(command, folder, "--variant", "rnn-gauss", name="a")
    first = find_run("a", uri=URI)
    stored = tmp_path / "mlruns/runs" / first.id / "config.toml"
    ended = command("fit", "--config", stored, "--name", "b")
    assert ended.status == 0, ended.err
    second = find_run("b", uri=URI)
    kept = [name for name in first.metrics if "per_second" not in name]
    assert {name: first.metrics[name] for name in kept} == {name: second.metrics[name] for name in kept}
    assert "exact likelihood" in ended.out
    assert second.parameters["model.guide"] == "none"
    trained = pyro_vrnn.load("b")
    corpus = load_data(trained.config.data, seed=0)
    x, mask, _ = next(iter(batches(corpus.test, 100)))
    assert exact(trained.net, x, mask).mean().item() == pytest.approx(second.metrics["test/exact"], rel=1e-5)
    refused = command("evaluate", "b", "--estimator", "iwae")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "has no latents" in refused.err


@pytest.mark.slow  # processes; what Ctrl-C does to a training is in tests/training/test_loop.py
def test_ctrl_c_scores_the_best_state_and_resume_goes_on(tmp_path, monkeypatch):
    folder = record(tmp_path / "tones")
    process = shell(tmp_path, "fit", "--data", folder, "--epochs", "100000", "--name", "cut", *ENDLESS)
    for line in process.stdout:
        if re.match(r"epoch +2/", line):
            process.send_signal(signal.SIGINT)
            break
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "training ended by Ctrl-C" in out
    assert "bound (ELBO)" in out
    monkeypatch.chdir(tmp_path)
    run = find_run("cut", uri=URI)
    assert run.status == "KILLED"
    assert "test/elbo" in run.metrics
    steps = json.loads((tmp_path / "mlruns/runs" / run.id / "results.json").read_text())["steps"]
    resumed = shell(tmp_path, "fit", "--resume", "cut", "--epochs", str(steps + 2))
    out, err = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, err
    assert f"resuming cut after step {steps}" in out
    assert find_run("cut", uri=URI).status == "FINISHED"


def test_killed_between_checkpoints_resumes_with_a_history_without_doubles(tmp_path, monkeypatch):
    from mlflow import MlflowClient

    folder = record(tmp_path / "tones")
    process = shell(tmp_path, "fit", "--data", folder, "--epochs", "100000", "--name", "dead", *ENDLESS)
    for line in process.stdout:
        if re.match(r"epoch +5/", line):
            time.sleep(0.1)
            process.kill()
            break
    process.communicate(timeout=60)
    resumed = shell(tmp_path, "fit", "--resume", "dead", "--epochs", "12")
    out, err = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, err + out
    assert "did not take everything" not in err, err
    monkeypatch.chdir(tmp_path)
    run = find_run("dead", uri=URI)
    history = MlflowClient(run.uri).get_metric_history(run.id, "train/bound")
    steps = [point.step for point in history]
    assert steps, out + err
    assert sorted(steps) == list(range(1, max(steps) + 1))


def test_a_precision_is_said_and_tracked_and_may_change_where_a_run_goes_on(command, tmp_path):
    folder = record(tmp_path / "tones")
    ended = _fit(command, folder, "--precision", "bf16")
    assert ended.status == 0, ended.err
    assert ended.out.splitlines()[0].endswith("seed 0, precision bf16")
    assert find_run("first", uri=URI).parameters["training.precision"] == "bf16"
    resumed = command("fit", "--resume", "first", "--epochs", "3", "--precision", "float32")
    assert resumed.status == 0, resumed.err
    assert resumed.out.splitlines()[0].endswith("seed 0")


def test_resuming_refuses_what_would_make_it_another_run(command, tmp_path):
    ended = command("fit", "--resume", "first", "--variant", "storn")
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "model.variant would make it another run" in ended.err


def _with(content):
    def make(folder):
        record(folder, 30)
        content(folder)

    return make


def _two_rates(folder):
    record(folder, 10)
    record(folder / "more", 10, rate=16000)


def _silence(folder):
    folder.mkdir()
    for i in range(30):
        soundfile.write(folder / f"{i}.wav", np.zeros(1000), 8000)


MISTAKES = {
    "no such folder": (lambda folder: None, [], ["--data"]),
    "no audio": (lambda folder: (folder.mkdir(), (folder / "a.txt").write_text("a")), [], ["no audio", "--data"]),
    "two rates": (_two_rates, [], ["8000", "16000", "--resample"]),
    "digital silence": (_silence, [], ["silence"]),
    "unknown variant": (record, ["--variant", "vrnn-x"], ["vrnn-x", "vrnn-gauss"]),
    "unknown guide": (record, ["--guide", "oracle"], ["oracle", "filtering"]),
    "guide of an rnn": (record, ["--variant", "rnn-gmm", "--guide", "filtering"], ["no latents"]),
    "tf32 on a cpu": (record, ["--device", "cpu", "--precision", "tf32"], ["--precision tf32", "float32", "bf16"]),
    "unknown device": (record, ["--device", "abacus"], ["abacus", "cpu"]),
    "pattern": (record, ["--test-pattern", "nothing-like-this"], ["--test-pattern"]),
    "bad value": (record, ["--set", "training.clip=-1"], ["training.clip"]),
    "no store": (record, ["--tracking-uri", "sqlite:////dev/null/mlflow.db"], ["/dev/null"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(mistake, command, tmp_path):
    make, options, words = MISTAKES[mistake]
    folder = tmp_path / "recordings"
    make(folder)
    ended = command("fit", "--data", folder, *SMALL, *options)
    assert ended.status == 2
    assert ended.err.count("\n") == 1
    assert ended.err.startswith("pyro-vrnn: ")
    assert "Traceback" not in ended.err
    for word in words:
        assert word in ended.err, ended.err
    assert not (tmp_path / "mlruns").exists()


def test_an_unwritable_output_is_one_line(command, tmp_path):
    (tmp_path / "mlruns").write_text("in the way")
    ended = _fit(command, record(tmp_path / "tones"))
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "mlruns" in ended.err


def test_bad_files_among_good_ones_are_counted_and_listed(command, tmp_path):
    folder = record(tmp_path / "tones", 30)
    (folder / "text.wav").write_text("this is no audio")
    soundfile.write(folder / "short.wav", np.ones(250) * 0.1, 8000)
    content = (folder / "000.wav").read_bytes()
    (folder / "broken.flac").write_bytes(content[:30])
    ended = _fit(command, folder)
    assert ended.status == 0, ended.err
    assert "skipped: 3 files" in ended.out
    for name in ("text.wav", "short.wav", "broken.flac"):
        assert name in ended.out


def test_a_run_that_goes_wrong_names_the_step_and_is_failed(command, tmp_path, monkeypatch):
    from pyro_vrnn.training import loop

    before = loop.Trainer._step

    def spoil(self, ready):
        if self.progress.step == 1:
            ready.x[0, 1] = float("nan")
        before(self, ready)

    monkeypatch.setattr(loop.Trainer, "_step", spoil)
    ended = _fit(command, record(tmp_path / "tones"), name="spoilt")
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "x (the data) at time step 1" in ended.err
    run = find_run("spoilt", uri=URI)
    assert run.status == "FAILED"
    assert (tmp_path / "mlruns/runs" / run.id / "checkpoint/checkpoint.safetensors").exists()


def test_evaluate_names_what_is_missing(command, tmp_path):
    for arguments, word in (
        (["evaluate", "nobody"], "no tracking store"),
        (["evaluate", tmp_path], "model.safetensors"),
        (["evaluate", "x", "--out", tmp_path / "no" / "file.json"], "does not exist"),
        (["evaluate"], "RUN"),
        (["fit", "--epochs", "0"], "--epochs"),
        (["nonsense"], "nonsense"),
    ):
        ended = command(*arguments)
        assert ended.status == 2
        assert ended.err.count("\n") == 1
        assert word.lower() in ended.err.lower(), ended.err


def test_data_list_names_the_embedded_sets(command):
    assert "demo-speech" in command("data", "list").out


def test_help_imports_nothing_heavy(tmp_path):
    code = (
        "import sys; sys.argv = ['cli', 'fit', '--help']\n"
        "import runpy\n"
        "try: runpy.run_path({!r}, run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print([m for m in ('torch', 'pyro', 'mlflow', 'numpy', 'pydantic', 'rich') if m in sys.modules])"
    )
    import subprocess
    import sys

    from .conftest import CLI

    done = subprocess.run([sys.executable, "-c", code.format(str(CLI))], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_the_official_split_of_spoken_digits(shared_data):
    corpus = load_data(DataOptions(source=str(shared_data / "fsdd/recordings"), test_pattern=r"_[0-4]\.wav$"), seed=0)
    assert (len(corpus.test), corpus.test.lengths.mean()) == (300, pytest.approx(16.75, abs=0.01))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_fit_on_cuda(command, tmp_path):
    ended = _fit(command, record(tmp_path / "tones"), "--device", "cuda")
    assert ended.status == 0, ended.err
    assert len(find_runs("pyro_vrnn", uri=URI)) == 1


def test_resuming_without_the_working_folder_takes_the_checkpoint_of_the_store(command, tmp_path):
    _fit(command, record(tmp_path / "tones"))
    run = find_run("first", uri=URI)
    shutil.rmtree(tmp_path / "mlruns/runs" / run.id / "checkpoint")
    ended = command("fit", "--resume", "first", "--epochs", "4")
    assert ended.status == 0, ended.err
    assert "resuming first after step 4, epoch 2" in ended.out
    shutil.rmtree(tmp_path / "mlruns/runs" / run.id / "checkpoint")
    shutil.rmtree(next((tmp_path / "mlruns/artifacts").rglob("checkpoint")))
    refused = command("fit", "--resume", "first", "--epochs", "6")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert find_run("first", uri=URI).status == "FINISHED"


def test_resuming_refuses_other_data(command, tmp_path):
    folder = record(tmp_path / "tones")
    _fit(command, folder)
    (folder / "000.wav").unlink()
    refused = command("fit", "--resume", "first", "--epochs", "4")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "are not those the run was trained on" in refused.err
