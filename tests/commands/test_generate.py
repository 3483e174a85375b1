"""``generate``: files that repeat by seed and say what they are; mistakes are one line."""

import json

import numpy as np
import pytest
import soundfile
import torch

from pyro_vrnn.data.writing import ROUNDING, restored
from pyro_vrnn.inference.generation import generate, together
from pyro_vrnn.training.saving import load_model

from .conftest import record, untrained


@pytest.fixture
def model(tmp_path):
    return untrained(tmp_path / "model", source=str(record(tmp_path / "tones")))


@pytest.mark.parametrize("write", ["sample", "mean"])
def test_sound_is_the_librarys(command, tmp_path, model, write):
    ended = command("generate", "./model", "--count", "2", "--seconds", "0.3", "--write", write, "--out", "made")
    assert ended.status == 0, ended.err
    torch.set_default_dtype(torch.float32)
    trained = load_model(model)
    made = together(generate(trained.net, 12, 2))
    expected = restored(made.x if write == "sample" else made.mean, trained.data)
    told = json.loads((tmp_path / "made" / "generation.json").read_text())
    assert (told["write"], told["seed"], told["run"]) == (write, 0, "./model")
    for row, file in enumerate(told["files"]):
        assert file["file"] == f"generated-seed0-{row:03d}-{write}.wav"
        with soundfile.SoundFile(tmp_path / "made" / file["file"]) as sound:
            assert sound.samplerate == 8000
            assert sound.comment.startswith(f"{write}: ")
            read = sound.read()
        assert np.abs(read - expected[row].reshape(-1).clip(-1, 1 - 2**-15)).max() <= ROUNDING + 1e-6
        assert file["log_joint"] == pytest.approx((made.log_prior + made.log_emission)[row].sum().item(), rel=1e-4)
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == sorted(
        ["generation.json", *(file["file"] for file in told["files"])]
    )


def test_a_recording_is_gone_on_from(command, tmp_path, model):
    options = ["--prime", "tones/000.wav", "--frames", "3", "--count", "1", "--out", "made"]
    ended = command("generate", "./model", *options)
    assert ended.status == 0, ended.err
    made, _ = soundfile.read(next((tmp_path / "made").glob("continued-*.wav")))
    real, _ = soundfile.read(tmp_path / "tones" / "000.wav")
    whole = len(real) // 200 * 200
    assert len(made) == whole + 600
    assert np.abs(made[:whole] - real[:whole]).max() <= 2 * ROUNDING


USES = [
    ["--reconstruct", "tones/000.wav"],
    ["--interpolate", "tones/000.wav", "tones/001.wav"],
    ["--hold", "tones/000.wav"],
]


@pytest.mark.parametrize("use", USES)
def test_latents_are_used(command, tmp_path, model, use):
    ended = command("generate", "./model", *use, "--count", "3", "--write", "mean", "--out", "made")
    assert ended.status == 0, ended.err
    assert len(list((tmp_path / "made").glob("*-mean.wav"))) == (1 if use[0] == "--reconstruct" else 3)


def test_ink_is_drawn_and_its_points_kept(command, tmp_path):
    untrained(tmp_path / "model", "vrnn-gmm", source="demo-handwriting")
    ended = command("generate", "./model", "--count", "1", "--frames", "20", "--out", "made")
    assert ended.status == 0, ended.err
    assert sorted(path.suffix for path in (tmp_path / "made").iterdir()) == [".json", ".npy", ".png", ".svg"]
    points = np.load(next((tmp_path / "made").glob("*.npy")))
    assert points.shape == (20, 3)
    assert set(points[:, 2]) <= {0.0, 1.0}
    ended = command("generate", "./model", "--seconds", "2", "--out", "other")
    assert ended.status == 2
    assert "--frames" in ended.err
    assert not (tmp_path / "other").exists()


MISTAKES = {
    "a file": (["--out", "file"], "a file"),
    "both lengths": (["--out", "d", "--seconds", "1", "--frames", "2"], "give one"),
    "other rate": (["--out", "d", "--prime", "fast"], "16000 Hz"),
    "nothing there": (["--out", "d", "--prime", "nowhere.wav"], "nowhere"),
    "ink": (["--out", "d", "--prime", "demo-handwriting"], "trained on sound"),
    "two uses": (["--out", "d", "--prime", "tones", "--hold", "tones"], "give one"),
    "temperature": (["--out", "d", "--temperature-x", "0"], "--temperature-x"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(command, tmp_path, model, mistake):
    (tmp_path / "file").write_text("")
    record(tmp_path / "fast", 2, rate=16000)
    options, said = MISTAKES[mistake]
    ended = command("generate", "./model", *options)
    assert ended.status == 2
    assert said in ended.err
    assert len(ended.err.strip().splitlines()) == 1
    assert not (tmp_path / "d").exists()
