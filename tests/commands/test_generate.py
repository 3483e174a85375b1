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
        made, _ = soundfile.read(tmp_path / "made" / f"{i:02d}-sample-s0.wav")
        assert len(made) == (frames + 5) * 200
        assert np.abs(made[: frames * 200] - real[: frames * 200]).max() <= 2 * ROUNDING
    assert held(tmp_path / "made")["files"][0]["frames_of_the_recording_before"] == frames


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
    kept = [path.name for path in (tmp_path / "mlruns" / "artifacts").rglob("generated/*")]
    assert sorted(kept) == ["00-sample-s0.png", "00-sample-s0.wav", "generation.json"]


def test_ink_and_arrays(command, tmp_path):
    pen = untrained(tmp_path / "pen", "vrnn-gmm", source="demo-handwriting")
    ended = command("generate", pen, "--out", "ink", "--count", "2", "--frames", "12", "--temperature-x", "0.5")
    assert ended.status == 0, ended.err
    names = {path.name for path in (tmp_path / "ink").iterdir()}
    endings = ("csv", "svg", "png")
    assert names == {f"{i:02d}-sample-s0.{end}" for i in range(2) for end in endings} | {"generation.json"}
    points = np.loadtxt(tmp_path / "ink" / "00-sample-s0.csv", delimiter=",", skiprows=1)
    assert points.shape == (12, 3)
    assert set(points[:, 2]) <= {0, 1}
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
        (["--interpolate", "tones", "tones", "--count", "1"], "2 or more"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(words, message, model, command, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    ended = command("generate", model, "--out", "made", *words)
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert message in ended.err
    assert sorted(tmp_path.rglob("*")) == before


def test_what_fails_midway_leaves_no_file(model, command, tmp_path, monkeypatch):
    made = generation.generate

    def midway(*arguments, **named):
        yield from made(*arguments, **named)
        raise KeyboardInterrupt

    monkeypatch.setattr(generating.generation, "generate", midway)
    assert command("generate", model, "--out", "made").status == 130
    assert list((tmp_path / "made").iterdir()) == []
