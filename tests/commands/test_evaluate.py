"""``evaluate``: every number of the table, the files and the run is the library's."""

import csv
import json
import re

import numpy as np
import pytest
import soundfile

import pyro_vrnn
from pyro_vrnn.data import flac_bits_per_sample, load, scoring_batches
from pyro_vrnn.inference.estimators import collect_log_weights, estimate, estimators_for
from pyro_vrnn.inference.importance import diagnose
from pyro_vrnn.inference.latents import latent_use
from pyro_vrnn.inference.results import Scale
from pyro_vrnn.tracking import find_run
from pyro_vrnn.training.saving import save_model

from .conftest import SMALL, record, untrained

URI = "sqlite:///mlruns/mlflow.db"


@pytest.fixture
def model(command, tmp_path):
    return untrained(tmp_path / "model", source=str(record(tmp_path / "tones")))


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def corpus_of(model):
    trained = pyro_vrnn.load(model)
    return trained.net, load(trained.config.data, seed=0)


def test_all_estimators_with_kinds_errors_and_references(model, command, tmp_path):
    ended = command("evaluate", model, "--particles", "5", "--repetitions", "3", "--seed", "4", "--out", "s.json")
    assert ended.status == 0, ended.err
    for words in (
        r"bound \(ELBO\) +≥ .* to ", r"importance sampling, 5 samples +≈ ", r"per-step averages, 5 samples +~ ",
        r"particle filter, 5 particles +≈ ", r"i\.i\.d\. Gaussian \(reference\) +=", r"FLAC \(compression",
        "units active",
    ):  # fmt: skip
        assert re.search(words, ended.out), ended.out
    assert "test part of" in ended.out
    held = json.loads((tmp_path / "s.json").read_text())
    net, corpus = corpus_of(model)
    assert list(held["results"]) == [
        *(f"{name}_5" if name in ("iwae", "stepwise", "smc") else name for name in estimators_for(net)), "iid_gaussian"
    ]  # fmt: skip
    scale = Scale(corpus.frame, corpus.std_lsb)
    table = {row["sequence"]: row for row in rows(tmp_path / "s.sequences.csv")}
    assert list(table) == corpus.test.names
    for name in estimators_for(net):
        expected = estimate(net, scoring_batches(corpus.test, 7), name, particles=5, scale=scale, seed=4, repetitions=3)
        assert held["results"][expected.name]["nats_per_sequence"] == pytest.approx(expected.per_sequence, rel=1e-6)
        assert held["results"][expected.name]["monte_carlo_error"] == pytest.approx(
            expected.monte_carlo_error, rel=1e-3
        )
        assert held["results"][expected.name]["bits_per_sample"] == pytest.approx(expected.bits_per_sample, rel=1e-6)
        assert [float(row[expected.name]) for row in table.values()] == pytest.approx(expected.nats.tolist(), rel=1e-6)
        for detail, column in expected.details.items():
            found = [float(row[f"{expected.name}_{detail}"]) for row in table.values()]
            assert found == pytest.approx(column.tolist(), rel=1e-3)
    flac = flac_bits_per_sample(corpus.test, lossless=True)
    assert held["compressions"]["flac"]["bits_per_sample"] == flac
    use = latent_use(net, scoring_batches(corpus.test, 7), seed=4)
    assert held["latents"]["kl_per_step"] == pytest.approx(use.kl_per_step.tolist(), rel=1e-5)
    assert held["latents"]["active_units"] == use.active_units
    assert (held["seed"], held["particles"], held["repetitions"], held["part"]) == (4, 5, 3, "test")


def test_a_batch_size_changes_no_number(model, command, tmp_path):
    for size in (1, 40):
        ended = command("evaluate", model, "--split", "train", "--estimator", "smc", "--estimator", "elbo",
                        "--particles", "3", "--batch-size", str(size), "--out", f"{size}.json")  # fmt: skip
        assert ended.status == 0, ended.err
    one, all_ = (json.loads((tmp_path / f"{size}.json").read_text())["results"] for size in (1, 40))
    assert list(one) == ["smc_3", "elbo", "iid_gaussian"]
    for name in one:
        assert one[name]["nats_per_sequence"] == pytest.approx(all_[name]["nats_per_sequence"], rel=1e-5)
    assert json.loads((tmp_path / "1.json").read_text())["latents"] is None


def test_a_model_without_latents_is_exact(command, tmp_path):
    model = untrained(tmp_path / "model", "rnn-gauss", source=str(record(tmp_path / "tones")))
    ended = command("evaluate", model, "--out", "s.json")
    assert ended.status == 0, ended.err
    held = json.loads((tmp_path / "s.json").read_text())
    assert list(held["results"]) == ["exact", "iid_gaussian"]
    assert held["latents"] is None
    assert held["results"]["exact"]["monte_carlo_error"] is None
    assert "± Monte Carlo:" not in ended.out


def test_diagnose_says_draws_and_keeps(model, command, tmp_path):
    ended = command("evaluate", model, "--estimator", "elbo", "--particles", "3", "--diagnose", "--weights", "60",
                    "--out", "s.json")  # fmt: skip
    assert ended.status == 0, ended.err
    net, corpus = corpus_of(model)
    expected = diagnose(collect_log_weights(net, scoring_batches(corpus.test, 2), 60))
    assert expected.line() in ended.out
    for warning in expected.warnings():
        assert f"warning: {warning}" in ended.out
    held = json.loads((tmp_path / "s.json").read_text())
    assert held["importance"]["samples"] == 60
    assert held["importance"]["ess_median"] == pytest.approx(expected.metrics()["importance_60_ess_median"], rel=1e-3)
    assert held["latents"] is not None
    found = [float(row["weights_60_ess"]) for row in rows(tmp_path / "s.sequences.csv")]
    assert found == pytest.approx(expected.ess.tolist(), rel=1e-3)
    assert (tmp_path / "s.importance.png").read_bytes().startswith(b"\x89PNG")


def test_few_effective_samples_are_warned_of_unasked(command, tmp_path):
    """In a long recording, under a narrow emission, one trajectory decides."""
    folder = tmp_path / "long"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for i in range(30):
        soundfile.write(folder / f"{i:02d}.wav", 0.3 * generator.normal(size=200 * (150 if i % 2 else 151)), 8000)
    model = untrained(tmp_path / "model", source=str(folder))
    trained = pyro_vrnn.load(model)
    trained.net.emission.net.last_bias.data.chunk(2)[1].fill_(-3)
    save_model(model, trained.net, trained.config, trained.data)
    ended = command("evaluate", model, "--estimator", "iwae", "--repetitions", "1")
    assert ended.status == 0, ended.err
    assert "effective samples of 40: a few trajectories decide" in ended.out
    assert "warning: importance sampling: cite the particle filter (--estimator smc)" in ended.out
    few = command("evaluate", model, "--estimator", "elbo", "--repetitions", "1")
    assert "warning" not in few.out


def test_a_run_keeps_numbers_table_and_figure(command, tmp_path):
    fitted = command("fit", "--data", record(tmp_path / "tones"), "--epochs", "1", "--name", "first", *SMALL)
    assert fitted.status == 0, fitted.err
    ended = command("evaluate", "first", "--particles", "3", "--diagnose", "--weights", "50", "--split", "validation")
    assert ended.status == 0, ended.err
    assert "kept with run first" in ended.out
    run = find_run("first", uri=URI)
    for name in ("elbo", "smc_3_monte_carlo_error", "latents_active_units", "importance_50_ess_median",
                 "flac_bits_per_sample"):  # fmt: skip
        assert f"validation-best/{name}" in run.metrics, sorted(run.metrics)
    kept = sorted((tmp_path / "mlruns/artifacts").rglob("evaluation-*"))
    (stem,) = {path.name.partition(".")[0] for path in kept}
    assert re.fullmatch(r"evaluation-validation-best-\d{8}-\d{6}", stem)
    assert [path.name for path in kept] == [f"{stem}.importance.png", f"{stem}.json", f"{stem}.sequences.csv"]
    assert json.loads(kept[1].read_text())["run"] == run.id


def test_a_run_shows_the_newest_evaluation_and_no_number_with_anothers_error(command, tmp_path):
    fitted = command("fit", "--data", record(tmp_path / "tones"), "--epochs", "1", "--name", "first", *SMALL)
    assert fitted.status == 0, fitted.err
    before = find_run("first", uri=URI).metrics
    assert before["test/elbo_monte_carlo_error"] > 0
    once = command("evaluate", "first", "--seed", "5", "--repetitions", "1", "--particles", "3")
    assert once.status == 0, once.err
    after = find_run("first", uri=URI).metrics
    own = {name for name in before if name.startswith("test/elbo")}
    assert {name: after[name] for name in own} == {name: before[name] for name in own}
    assert "test/iwae_3" in after
    assert "test/iwae_3_monte_carlo_error" not in after
    ended = command("evaluate", "first", "--seed", "5", "--estimator", "elbo", "--out", "e.json")
    assert ended.status == 0, ended.err
    after = find_run("first", uri=URI).metrics
    held = json.loads((tmp_path / "e.json").read_text())["results"]["elbo"]
    assert after["test/elbo"] == pytest.approx(held["nats_per_sequence"])
    assert after["test/elbo_monte_carlo_error"] == pytest.approx(held["monte_carlo_error"])
    assert after["test/elbo"] != before["test/elbo"]


def test_folders_of_one_name_are_kept_apart(model, command, tmp_path):
    fitted = command("fit", "--data", record(tmp_path / "tones"), "--epochs", "1", "--name", "first", *SMALL)
    assert fitted.status == 0, fitted.err
    for parent in "ab":
        folder = record(tmp_path / parent / ("w" * 200), 3, seed=ord(parent))
        assert command("evaluate", "first", "--data", folder, "--estimator", "elbo").status == 0
    kept = [name for name in find_run("first", uri=URI).metrics if name.startswith("data-w") and name.endswith("/elbo")]
    assert len(kept) == 2


def test_the_simulated_set_has_exact_references_on_its_test_part(command, tmp_path):
    model = untrained(tmp_path / "model", "rnn-gauss", source="linear-gaussian")
    ended = command("evaluate", model, "--out", "s.json")
    assert ended.status == 0, ended.err
    assert "generating model (reference)" in ended.out
    held = json.loads((tmp_path / "s.json").read_text())["results"]
    assert list(held) == ["exact", "iid_gaussian", "diagonal_innovations", "generating_model"]
    assert held["generating_model"]["kind"] == "exact"
    _, corpus = corpus_of(model)
    expected = corpus.references["generating_model"].mean()
    assert held["generating_model"]["nats_per_sequence"] == pytest.approx(expected)
    other = command("evaluate", model, "--split", "validation")
    assert "generating model" not in other.out
    assert "FLAC" not in other.out


def integers(folder, count=30, subtype="PCM_16", ending="wav"):
    folder.mkdir()
    generator = np.random.default_rng(3)
    for i in range(count):
        tone = 0.3 * np.sin(np.arange(900 + 40 * i) * 0.05) + 0.05 * generator.normal(size=900 + 40 * i)
        soundfile.write(folder / f"{i:02d}.{ending}", tone, 8000, subtype)
    return folder


def test_dither_is_that_of_the_training_unless_said_otherwise(command, tmp_path):
    tones = integers(tmp_path / "tones")
    model = untrained(tmp_path / "model", "rnn-gauss", source=str(tones), dither=True)

    def held(*more):
        ended = command("evaluate", model, *more, "--out", "s.json")
        assert ended.status == 0, ended.err
        found = json.loads((tmp_path / "s.json").read_text())
        assert found["data"]["dither"] == found["results"]["exact"]["dithered"] == ("sequences, dithered" in ended.out)
        return found

    own = held()
    assert own["results"]["exact"]["kind"] == "bound"
    other = held("--data", tones)
    assert other["data"]["dither"]
    assert other["results"]["exact"]["kind"] == "bound"
    plain = held("--data", tones, "--no-dither")
    assert plain["results"]["exact"]["kind"] == "exact"
    assert plain["results"]["exact"]["bits_per_sample"] != other["results"]["exact"]["bits_per_sample"]
    assert "flac" in plain["compressions"]
    without = untrained(tmp_path / "without", "rnn-gauss", source=str(tones))
    model = without
    assert not held("--data", tones)["data"]["dither"]
    assert held("--data", tones, "--dither")["data"]["dither"]


def test_other_data_say_whether_their_integers_are_known(command, tmp_path):
    model = untrained(tmp_path / "model", "rnn-gauss", source=str(integers(tmp_path / "tones")))

    def found(source, *more):
        ended = command("evaluate", model, "--data", source, *more, "--out", "s.json")
        assert ended.status == 0, ended.err
        held = json.loads((tmp_path / "s.json").read_text())
        return held.get("compressions"), held["results"]["exact"]["bits_per_sample"]

    flac, bits = found(integers(tmp_path / "same", 4))
    assert flac is not None
    assert bits is not None
    eight = found(integers(tmp_path / "eight", 4, "PCM_U8"))
    assert eight[0]["flac"]["bits_per_sample"] < flac["flac"]["bits_per_sample"] - 4
    assert eight[1] == pytest.approx(bits - 8, abs=1), "a step of 8 bits is worth 256 of 16"
    assert found(integers(tmp_path / "floats", 4, "FLOAT")) == (None, None)
    lossy = found(integers(tmp_path / "lossy", 4, "VORBIS", "ogg"))
    assert lossy[0] is None
    assert lossy[1] is not None


def _trained_with_dither(tmp_path):
    return untrained(tmp_path / "model", "rnn-gauss", source=str(integers(tmp_path / "tones")), dither=True)


MISTAKES = {
    "no such estimator": (["--estimator", "magic"], ["magic", "smc"]),
    "not of this model": (["--estimator", "exact"], ["has latents"]),
    "no folder": (["--out", "no/s.json"], ["does not exist"]),
    "a folder": (["--out", "tones"], ["a folder"]),
    "weights alone": (["--weights", "10"], ["--diagnose"]),
    "own data are fixed": (["--dither"], ["--dither", "only beside --data"]),
    "and so is their noise": (["--no-dither"], ["--no-dither", "only beside --data"]),
    "no such data": (["--data", "nowhere"], ["nowhere"]),
    "other frames": (["--data", "tones", "--frame", "100"], ["frames of 200"]),
    "other rate": (["--data", "tones", "--sample-rate", "16000"], ["8000 Hz"]),
    "no repetition": (["--repetitions", "0"], ["--repetitions"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(mistake, model, command, tmp_path):
    options, words = MISTAKES[mistake]
    before = sorted(tmp_path.rglob("*"))
    ended = command("evaluate", model, *options)
    assert (ended.status, ended.err.count("\n")) == (2, 1), ended
    for word in words:
        assert word in ended.err, ended.err
    assert sorted(tmp_path.rglob("*")) == before


def test_what_only_latents_have_is_refused_without_them(command, tmp_path):
    model = untrained(tmp_path / "model", "rnn-gauss", source=str(record(tmp_path / "tones")))
    ended = command("evaluate", model, "--diagnose")
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "no latents" in ended.err


def test_files_that_cannot_be_dithered_as_trained_say_what_to_do(command, tmp_path):
    model = _trained_with_dither(tmp_path)
    lossy = integers(tmp_path / "lossy", 4, "VORBIS", "ogg")
    refused = command("evaluate", model, "--data", lossy)
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "lossy" in refused.err
    assert "--no-dither" in refused.err
    asked = command("evaluate", model, "--data", lossy, "--dither")
    assert asked.status == 2
    assert "--no-dither" not in asked.err
    assert command("evaluate", model, "--data", lossy, "--no-dither").status == 0


def test_files_that_changed_are_not_scored_as_the_runs_own(model, command, tmp_path):
    (tmp_path / "tones" / "000.wav").unlink()
    ended = command("evaluate", model)
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "pass --data" in ended.err
