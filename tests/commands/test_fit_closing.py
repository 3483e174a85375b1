"""What ``fit`` says at its end."""

import json
import re

from tests.commands.conftest import SMALL, record


def test_a_dithered_density_is_a_bound(command, tmp_path):
    folder = record(tmp_path / "tones")
    ended = command("fit", "--data", folder, "--variant", "rnn-gauss", "--dither", "--epochs", "1", *SMALL)
    assert ended.status == 0, ended.err
    assert re.search(r"exact likelihood +≥ ", ended.out)
    assert "dithered: densities bound the probability of the integers" in ended.out
    assert "--dither makes them bounds" not in ended.out
    (path,) = (tmp_path / "mlruns").glob("runs/*/results.json")
    assert json.loads(path.read_text())["results"]["exact"]["kind"] == "bound"


def test_the_simulated_set_says_how_far_a_model_has_come(command):
    fit = ("fit", "--data", "linear-gaussian", "--max-steps", "3", "--set", "evaluation.particles=2", *SMALL)
    fit += ("--set", "evaluation.repetitions=1")
    ended = command(*fit, "--variant", "vrnn-gauss")
    assert ended.status == 0, ended.err
    said = re.findall(r"(.+): -?[\d.]+% of the way from the i.i.d. Gaussian to the (.+),", ended.out)
    assert said == [("bound (ELBO)", "generating model"), ("particle filter, 2 particles", "generating model")]
    ended = command(*fit, "--variant", "rnn-gauss")
    said = re.findall(r"(.+): -?[\d.]+% of the way from the i.i.d. Gaussian to the (.+),", ended.out)
    assert said == [("exact likelihood", "ceiling of diagonal innovations")]
    assert "compare:     python cli.py fit --variant vrnn-gauss --data linear-gaussian" in ended.out
    assert "--set training.max_steps=3" in ended.out


def test_objectives_are_named_with_what_they_are(command, tmp_path):
    folder, kinds = record(tmp_path / "tones"), {}
    for name, more in (
        ("iwae", ["--objective", "iwae", "--particles", "3"]),
        ("free", ["--set", "training.free_bits=0.1"]),
    ):
        ended = command("fit", "--data", folder, "--epochs", "1", "--name", name, *more, *SMALL)
        assert ended.status == 0, ended.err
    for path in (tmp_path / "mlruns").glob("runs/*/results.json"):
        held = json.loads(path.read_text())
        kinds[held["name"]] = (held["objective"], held["objective_kind"], held["validated_by"])
    assert kinds == {"iwae": ("iwae", "consistent", "iwae"), "free": ("elbo", "objective", "elbo")}


def test_what_has_no_meaning_is_refused_before_anything_is_read(command, tmp_path):
    for more in (["--variant", "rnn-gauss", "--objective", "iwae"], ["--particles", "3"]):
        ended = command("fit", "--data", tmp_path / "nowhere", *more)
        assert ended.status == 2
        assert "nowhere" not in ended.err
        assert ended.err.count("\n") == 1
        assert not (tmp_path / "mlruns").exists()
