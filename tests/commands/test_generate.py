"""``generate``: files that repeat by their seed, hold what the library draws, and say what they are."""

import json

import numpy as np
import pytest
import soundfile
import torch

from pyro_vrnn.commands import generating
from pyro_vrnn.data.writing import ROUNDING, restored
from pyro_vrnn.inference import generation
from pyro_vrnn.model.rollout import follow
from pyro_vrnn.training.saving import load_model

from .conftest import record, untrained


@pytest.fixture
def tones(tmp_path):
    return record(tmp_path / "tones")


@pytest.fixture
def model(tmp_path, tones):
    return untrained(tmp_path / "model", source=str(tones))


def held(folder):
    return json.loads((folder / "generation.json").read_text())


@pytest.mark.parametrize("written", ["sample", "mean"])
def test_files_hold_what_the_library_draws(written, model, command, tmp_path, monkeypatch):
    monkeypatch.setattr(generation, "PIECE", 7)
    ended = command("generate", model, "--out", "made", "--count", "2", "--seconds", "0.5", "--write", written)
    assert ended.status == 0, ended.err
    trained = load_model(model)
    made = generation.together(generation.generate(trained.net, 20, 2))
    for i, values in enumerate(restored(made.x if written == "sample" else made.mean, trained.data)):
        path = tmp_path / "made" / f"{i:02d}-{written}-s0.wav"
        with soundfile.SoundFile(path) as file:
            assert file.samplerate == 8000
            assert ("not samples" in file.comment) == (written == "mean")
            read = file.read()
        inside = np.abs(values.reshape(-1)) < 1 - 1e-4
        assert np.abs(read - values.reshape(-1))[inside].max() <= ROUNDING * 1.0001
        item = held(tmp_path / "made")["files"][i]
        assert item["file"] == path.name
        assert item["log_joint"] == pytest.approx(float((made.log_prior + made.log_emission)[i].sum()), rel=1e-5)
        assert f"{item['log_joint']:.1f} nats" in ended.out
    assert (tmp_path / "made" / f"{written}-s0.png").stat().st_size > 5000


def test_scoring_a_file_differs_by_its_rounding_alone(model, command, tmp_path):
    command("generate", model, "--out", "made", "--count", "1", "--seconds", "0.5")
    trained = load_model(model)
    made = generation.together(generation.generate(trained.net, 20, 1))
    read, _ = soundfile.read(tmp_path / "made" / "00-sample-s0.wav", dtype="float32")
    x = torch.from_numpy((read - trained.data["mean"]) / trained.data["std"]).reshape(1, 20, -1).float()
    rollout = follow(trained.net, x, torch.ones(1, 20, dtype=torch.bool), made.z)
    nats = (rollout.log_prior(made.z) + rollout.log_emission).sum()
    # docs/generation.md: below 0.01 nats a frame where sigma is above 100 steps of 16 bits.
    assert nats.item() == pytest.approx(held(tmp_path / "made")["files"][0]["log_joint"], abs=0.01 * 20)


def test_a_seed_decides_it_and_another_run_repeats_it(model, command, tmp_path):
    def drawn(folder, seed):
        command("generate", model, "--out", folder, "--count", "1", "--frames", "3", "--seed", seed)
        return (tmp_path / folder / f"00-sample-s{seed}.wav").read_bytes()

    assert drawn("a", "1") == drawn("b", "1")
    assert drawn("a", "1") != drawn("c", "2")


def test_a_continuation_begins_with_the_recording(model, command, tmp_path, tones):
    prime = tones / "000.wav"
    assert command("generate", model, "--prime", prime, "--out", "made", "--count", "2", "--frames", "5").status == 0
    real, _ = soundfile.read(prime)
    frames = len(real) // 200
    for i in range(2):
        made, _ = soundfile.read(tmp_path / "made" / f"{i:02d}-continued-sample-s0.wav")
        assert len(made) == (frames + 5) * 200
        assert np.abs(made[: frames * 200] - real[: frames * 200]).max() <= 2 * ROUNDING
    assert held(tmp_path / "made")["files"][0]["frames_of_the_recording_before"] == frames


def test_a_continuation_with_temperatures_is_the_librarys(model, command, tmp_path, tones):
    words = ["--prime", tones / "000.wav", "--prime-seconds", "0.05", "--temperature-z", "0.5"]
    words += ["--temperature-x", "0.25"]
    ended = command("generate", model, *words, "--out", "made", "--count", "2", "--frames", "5", "--seed", "3")
    assert ended.status == 0, ended.err
    trained = load_model(model)
    samples, _ = soundfile.read(tones / "000.wav", dtype="float32")
    x = torch.from_numpy((samples[:400] - trained.data["mean"]) / trained.data["std"]).reshape(1, 2, 200).float()
    past = generation.prime(trained.net, x, seed=3)
    drawn = generation.generate(trained.net, 5, 2, seed=3, past=past, temperature_z=0.5, temperature_x=0.25)
    made = generation.together(drawn)
    for i, values in enumerate(restored(made.x, trained.data)):
        read, _ = soundfile.read(tmp_path / "made" / f"{i:02d}-continued-sample-s3-z0.5-x0.25.wav")
        assert read[400:] == pytest.approx(np.clip(values.reshape(-1), -1, 1), abs=1.01 * ROUNDING)


def test_what_is_read_is_not_dithered_where_training_was(command, tmp_path, tones):
    """A recording without a grid of integers cannot be."""
    dithered = untrained(tmp_path / "dithered", source=str(tones), dither=True)
    samples, rate = soundfile.read(tones / "000.wav")
    soundfile.write(tmp_path / "float.wav", samples, rate, subtype="FLOAT")
    ended = command("generate", dithered, "--reconstruct", "float.wav", "--out", "made", "--count", "1")
    assert ended.status == 0, ended.err
    real, _ = soundfile.read(tmp_path / "made" / "00-real.wav")
    assert real == pytest.approx(samples[: len(real)], abs=2 * ROUNDING)


def test_another_call_does_not_write_over_the_files_of_one(model, command, tmp_path):
    words = ["generate", model, "--out", "made", "--count", "1", "--frames", "3"]
    assert command(*words).status == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "made").iterdir()}
    assert command(*words).status == 0
    for more in (["--seed", "1"], ["--temperature-x", "0.5"], ["--prime", "tones"]):
        ended = command(*words, *more)
        assert (ended.status, ended.err.count("\n")) == (2, 1)
        assert "holds what another call made" in ended.err
    assert {path.name: path.read_bytes() for path in (tmp_path / "made").iterdir()} == before


@pytest.mark.parametrize(("variant", "temperature"), [("vrnn-gauss", "1e38"), ("vrnn-gmm", "1e-300")])
def test_values_that_are_not_finite_are_no_sound(variant, temperature, command, tmp_path, tones):
    model = untrained(tmp_path / "model", variant, source=str(tones))
    ended = command("generate", model, "--out", "made", "--count", "1", "--frames", "3", "--temperature-x", temperature)
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "not finite" in ended.err
    assert list((tmp_path / "made").iterdir()) == []


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["--reconstruct", "tones"], ["00-real.wav", "00-reconstructed-mean-s0.wav", "01-real.wav"]),
        (
            ["--interpolate", "tones/000.wav", "tones/001.wav"],
            ["00-interpolated-mean-s0.wav", "interpolated-mean-s0.png"],
        ),
        (["--hold", "tones/000.wav", "--frames", "4"], ["01-held-mean-s0.wav", "held-mean-s0.png"]),
    ],
)
def test_uses_of_latents(words, names, model, command, tmp_path):
    ended = command("generate", model, *words, "--count", "2", "--out", "made")
    assert ended.status == 0, ended.err
    assert set(names) <= {path.name for path in (tmp_path / "made").iterdir()}


def test_a_tracked_run_keeps_the_files(tones, command, tmp_path):
    ended = command("fit", "--variant", "rnn-gauss", "--data", tones, "--max-steps", "2", "--name", "one",
                    "--set", "model.h=8", "--set", "model.depth=1", "--device", "cpu", "--no-report")  # fmt: skip
    assert ended.status == 0, ended.err
    assert "kept with the run" in command("generate", "one", "--out", "made", "--count", "1").out
    with soundfile.SoundFile(tmp_path / "made" / "00-sample-s0.wav") as sound:
        assert "run one, " in sound.comment
    kept = [path.name for path in (tmp_path / "mlruns" / "artifacts").rglob("generated/sample-s0/*")]
    assert sorted(kept) == ["00-sample-s0.png", "00-sample-s0.wav", "generation.json"]


def test_ink_and_arrays(command, tmp_path):
    pen = untrained(tmp_path / "pen", "vrnn-gmm", source="demo-handwriting")
    ended = command("generate", pen, "--out", "ink", "--count", "2", "--frames", "12", "--temperature-x", "0.5")
    assert ended.status == 0, ended.err
    names = {path.name for path in (tmp_path / "ink").iterdir()}
    endings = ("csv", "svg", "png")
    assert names == {f"{i:02d}-sample-s0-x0.5.{end}" for i in range(2) for end in endings} | {"generation.json"}
    points = np.loadtxt(tmp_path / "ink" / "00-sample-s0-x0.5.csv", delimiter=",", skiprows=1)
    assert points.shape == (12, 3)
    assert set(points[:, 2]) <= {0, 1}
    # What was written can be gone on from.
    prime = tmp_path / "ink" / "00-sample-s0-x0.5.csv"
    assert command("generate", pen, "--out", "on", "--count", "1", "--frames", "5", "--prime", prime).status == 0
    longer = np.loadtxt(tmp_path / "on" / "00-continued-sample-s0.csv", delimiter=",", skiprows=1)
    assert longer.shape == (17, 3)
    assert longer[:12] == pytest.approx(points, rel=1e-4, abs=1e-4)
    (tmp_path / "wrong.csv").write_text("dx,dy,pen\n1,2,3\n")
    ended = command("generate", pen, "--out", "wrong", "--prime", "wrong.csv")
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "three numbers a point" in ended.err
    rows = untrained(tmp_path / "rows", source="linear-gaussian")
    assert command("generate", rows, "--out", "rows.out", "--count", "1", "--frames", "6").status == 0
    assert np.load(tmp_path / "rows.out" / "00-sample-s0.npy").shape == (6, 4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--prime", "tones", "--hold", "tones"], "one at a time"),
        (["--prime-seconds", "1"], "only beside --prime"),
        (["--seconds", "1", "--frames", "3"], "pass one of them"),
        (["--reconstruct", "tones", "--frames", "3"], "leave out --seconds and --frames"),
        (["--hold", "tones", "--temperature-z", "2"], "leave out --temperature-z"),
        (["--out", "model/config.toml"], "expected the name of a folder"),
        (["--out", "model/config.toml/deeper"], "cannot be written"),
        (["--prime", "nowhere"], "nowhere"),
        (["--seconds", "inf"], "inf is not a positive number"),
        (["--prime", "tones", "--prime-seconds", "nan"], "nan is not a positive number"),
        (["--interpolate", "tones", "tones", "--count", "1"], "2 or more"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(words, message, model, command, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    ended = command("generate", model, "--out", "made", *words)
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert message in ended.err
    assert sorted(tmp_path.rglob("*")) == before


def test_without_latents_there_is_no_temperature_of_them(command, tmp_path, tones):
    untrained(tmp_path / "rnn", "rnn-gauss", source=str(tones))
    ended = command("generate", "rnn", "--out", "made", "--count", "1", "--frames", "3", "--temperature-z", "0.5")
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "--temperature-z: the model has no latents" in ended.err
    assert not (tmp_path / "made").exists()
    asked = ("--count", "1", "--frames", "3", "--temperature-x", "0.5")
    assert command("generate", "rnn", "--out", "made", *asked).status == 0


@pytest.mark.parametrize(("use", "words"), [("generate", []), ("reconstruct", ["--reconstruct", "tones"])])
def test_what_fails_midway_leaves_no_file(use, words, model, command, tmp_path, monkeypatch):
    made, calls = getattr(generation, use), []

    def midway(*arguments, **named):
        calls.append(use)
        yield from made(*arguments, **named)
        if use == "generate" or len(calls) == 2:  # of several recordings the second
            raise KeyboardInterrupt

    monkeypatch.setattr(generating.generation, use, midway)
    assert command("generate", model, "--out", "made", *words).status == 130
    assert list((tmp_path / "made").iterdir()) == []
