"""Parts on the command line: emissions of integers from data to bits, and combinations that are refused."""

import json
import math

import numpy as np
import pytest
import soundfile
import torch

from pyro_vrnn.commands.integers import check_bits
from pyro_vrnn.data import Normaliser, Sequences, load
from pyro_vrnn.errors import DataError
from pyro_vrnn.model.rollout import follow
from pyro_vrnn.model.variants import build
from pyro_vrnn.training.config import read
from pyro_vrnn.training.saving import load_model, save_model

from .conftest import SMALL, record


@pytest.fixture
def model(command, tmp_path):
    """An untrained model whose emission gives samples a probability."""
    model = {"variant": "rnn-gauss", "emission": "dmol", "emission_components": 2}
    config = read(None, {"data": {"source": str(record(tmp_path / "tones"))}, "model": model}, SMALL[1::2])
    corpus = load(config.data, seed=0)
    config = config.explicit(corpus.frame)
    save_model(tmp_path / "model", build(config.model, corpus.frame, corpus.describe()), config, corpus.describe())
    return tmp_path / "model"


def test_bits_of_integers_are_those_of_their_probabilities(command, model, tmp_path):
    ended = command("evaluate", model, "--out", "s.json")
    assert ended.status == 0, ended.err
    assert "its bits are code lengths" in ended.out
    assert "are no code lengths" not in ended.out
    found = json.loads((tmp_path / "s.json").read_text())["results"]["exact"]
    assert found["note"] == "p=mass"
    net, data = load_model(model).net, load_model(model).data
    test = load(load_model(model).config.data, seed=0).test
    bits, values = 0.0, 0
    for i in range(len(test)):
        x = torch.from_numpy(test[i]).unsqueeze(0)
        with torch.no_grad():
            density = follow(net, x, torch.ones(x.shape[:2], dtype=torch.bool), x.new_zeros(*x.shape[:2], 0)).emission
        n = torch.from_numpy(test.samples(i).astype(np.float32)).unsqueeze(0)
        assert density.cells.integers(x).equal(n), "the integers of the file"
        bits -= density.log_mass(n).double().sum().item() / math.log(2)
        values += n.numel()
    assert found["bits_per_sample"] == pytest.approx(bits / values, rel=1e-6)
    assert data["lsb"] == 2**-15


@pytest.mark.parametrize(
    ("subtype", "options", "message"),
    [
        ("PCM_24", [], "steps of 1.19e-07; the model gives probabilities to steps of 3.05e-05"),
        ("FLOAT", [], "the source holds floats"),
        ("PCM_16", ["--dither"], "leave out --dither"),
    ],
)
def test_other_data_must_have_the_models_integers(command, model, tmp_path, subtype, options, message):
    (tmp_path / "other").mkdir()
    sound = 0.1 * np.random.default_rng(0).normal(size=2000)
    soundfile.write(tmp_path / "other" / "a.wav", sound, 8000, subtype=subtype)
    ended = command("evaluate", model, "--data", "other", *options)
    assert ended.status == 2
    assert message in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--emission", "dmol", "--dither"], "leave out --dither"),
        (["--emission", "bernoulli"], "expects values 0 and 1"),
        (["--variant", "zforcing", "--guide", "filtering"], "guide filtering keeps no backward state"),
        (["--variant", "zforcing", "--objective", "iwae"], "pass --set model.auxiliary=0"),
        (["--guide", "filtering", "--set", "model.guide_steps=3"], "guide filtering takes no steps"),
        (["--prior", "standard", "--set", "model.prior_components=3"], "prior standard takes no components"),
        (["--guide", "flow", "--set", "training.free_bits=0.1"], "is not known; use a guide and a prior that are"),
        (["--variant", "rnn-gauss", "--guide", "flow"], "rnn-gauss has no latents"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(command, tmp_path, options, message):
    record(tmp_path / "tones")
    ended = command("fit", "--data", "tones", "--max-steps", "2", *SMALL, *options)
    assert ended.status == 2
    assert message in ended.err
    assert ended.err.count("\n") == 1
    assert not list((tmp_path / "mlruns").glob("runs/*")), "refused before there is a run"


@pytest.mark.parametrize(
    "options",
    [
        ["--emission", "dmol"],
        ["--variant", "zforcing", "--emission", "student-t"],
        ["--guide", "flow", "--set", "model.guide_base=residual", "--prior", "mixture", "--emission", "laplace"],
    ],
)
def test_fit_and_evaluate_with_other_parts(command, tmp_path, options):
    record(tmp_path / "tones")
    options = ["--data", "tones", "--max-steps", "2", "--name", "one", "--set", "evaluation.particles=2", *options]
    ended = command("fit", *options, *SMALL)
    assert ended.status == 0, ended.err
    (results,) = (tmp_path / "mlruns" / "runs").glob("*/results.json")
    held = json.loads(results.read_text())
    assert held["objective_kind"] == ("objective" if "zforcing" in options else "bound")
    assert "auxiliary" in held["parameters"] or "zforcing" not in options
    again = command("evaluate", "one", "--particles", "2", "--estimator", "elbo", "--out", "s.json")
    assert again.status == 0, again.err
    scored = json.loads((tmp_path / "s.json").read_text())["results"]["elbo"]
    assert scored["nats_per_sequence"] == pytest.approx(held["results"]["elbo"]["nats_per_sequence"], rel=1e-5)
    assert ("kl=sampled" in scored["note"]) == ("flow" in options)


def test_bits_are_looked_for_among_the_stored_values():
    def stored(values):
        frames = [np.array([[0, 1], [1, 1]], np.int16), np.array(values, np.int16)]
        return Sequences(frames, ["a", "b"], None, frame=2, sample_rate=1, normaliser=Normaliser(0.0, 1.0))

    check_bits("songs", stored([[0, 0]]))
    with pytest.raises(DataError, match=r"songs: b holds 7; .* expects values 0 and 1"):
        check_bits("songs", stored([[0, 7]]))
