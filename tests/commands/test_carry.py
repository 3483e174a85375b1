"""``--carry``: trained, and scored carried and reset, each labelled."""

import csv
import json

import numpy as np
import pytest
import torch

import pyro_vrnn
from pyro_vrnn.data import Joined, groups, load, runs, scoring_batches
from pyro_vrnn.inference.carried import estimate_carried
from pyro_vrnn.inference.results import Scale
from pyro_vrnn.tracking import find_run

from .conftest import SMALL, record, untrained

URI = "sqlite:///mlruns/mlflow.db"
CUT = {"frame": 50, "segment": 0.025}  # 4 frames of 50 samples


def test_fit_and_evaluate_report_both(command, tmp_path):
    source = record(tmp_path / "tones")
    options = [
        "--frame",
        "50",
        "--segment",
        "0.025",
        "--carry",
        "3",
        "--epochs",
        "1",
        "--set",
        "evaluation.particles=4",
    ]
    ended = command("fit", "--data", source, *options, *SMALL, "--name", "carried", "--batch-size", "8")
    assert ended.status == 0, ended.err
    assert "the state is carried over 3 segments of a recording" in ended.out
    for words in (
        "bound (ELBO) (reset)",
        "bound (ELBO) (carried over 3)",
        "importance sampling, 4 samples (carried over 3)",
        "i.i.d. Gaussian (reference)",
        "carried over N: of segments given those before them",
    ):
        assert words in ended.out
    assert "training.carry=3" in ended.out  # of the line that makes another variant's run comparable
    run = find_run("carried", uri=URI)
    assert run.metrics["test/carried/3/elbo"] != run.metrics["test/elbo"]
    first = {name: value for name, value in run.metrics.items() if name.startswith("test/")}
    ended = command("evaluate", "carried", "--particles", "4", "--out", "again.json")
    assert ended.status == 0, ended.err
    held = json.loads((tmp_path / "again.json").read_text())
    assert held["carry"] == 3
    for name in ("elbo", "carried/3/elbo", "carried/3/iwae_4", "carried/3/smc_4"):
        assert held["results"][name]["nats_per_sequence"] == pytest.approx(first[f"test/{name}"], rel=1e-6)
    assert held["results"]["carried/3/iwae_4"]["kind"] == "estimate"
    assert "weights begin anew" in held["results"]["carried/3/iwae_4"]["note"]
    # Another number of segments is another quantity, and leaves the run's own alone.
    ended = command("evaluate", "carried", "--carry", "all", "--estimator", "elbo")
    assert "bound (ELBO) (carried over all)" in ended.out
    after = find_run("carried", uri=URI).metrics
    assert after["test/carried/3/elbo"] == first["test/carried/3/elbo"]
    assert "test/carried/all/elbo" in after
    ended = command("evaluate", "carried", "--carry", "1", "--estimator", "elbo")
    assert "carried" not in ended.out.replace("kept with run carried", "")


@pytest.mark.parametrize("variant", ["rnn-gauss", "srnn"])
def test_numbers_are_the_librarys(variant, command, tmp_path):
    model = untrained(tmp_path / "model", variant, source=str(record(tmp_path / "tones")), **CUT)
    name = "exact" if variant == "rnn-gauss" else "elbo"
    ended = command("evaluate", model, "--carry", "2", "--estimator", name, "--out", "s.json", "--seed", "4")
    assert ended.status == 0, ended.err
    trained = pyro_vrnn.load(model)
    test = load(trained.config.data, seed=0).test
    joined = Joined(test, groups(runs(test), 2))
    assert set(joined.counts.tolist()) == {1, 2}
    with torch.no_grad():
        expected = estimate_carried(
            trained.net, scoring_batches(joined, 3), name, starts=joined.starts, lengths=test.lengths, every=4, carry=2,
            scale=Scale(50), seed=4, repetitions=2,
        )  # fmt: skip
    with (tmp_path / "s.sequences.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["sequence"] for row in table] == test.names
    found = np.array([float(row[f"carried/2/{name}"]) for row in table])
    np.testing.assert_allclose(found, expected.nats, rtol=1e-5)
    reset = np.array([float(row[name]) for row in table])
    np.testing.assert_allclose(found[joined.starts], reset[joined.starts], rtol=1e-5)


def test_where_no_recording_has_two_segments_nothing_is_carried_and_said_so(command, tmp_path):
    model = untrained(tmp_path / "model", source=str(record(tmp_path / "tones")))
    ended = command("evaluate", model, "--carry", "all", "--estimator", "elbo")
    assert ended.status == 0, ended.err
    assert "warning: nothing is carried" in ended.out
    assert "(reset)" not in ended.out


@pytest.mark.parametrize("carry", ["0", "-1", "some"])
def test_a_number_of_segments_is_one_or_more_or_all(command, tmp_path, carry):
    ended = command("evaluate", "anything", "--carry", carry)
    assert ended.status == 2
    assert "--carry" in ended.err


def test_a_filter_in_training_carries_nothing(command, tmp_path):
    ended = command("fit", "--data", record(tmp_path / "tones"), "--objective", "fivo", "--carry", "4")
    assert ended.status == 2
    assert "--carry 4: not with --objective fivo" in ended.err
    assert len(ended.err.splitlines()) == 1
