"""Strokes of a pen through ``fit``, ``evaluate`` and ``score``."""

import csv
import json
import re

import numpy as np
import pytest
import torch

from pyro_vrnn.commands import evaluating, fitting, subject
from pyro_vrnn.data import Corpus, DataOptions, Normaliser, Sequences
from pyro_vrnn.data.dither import Dither
from pyro_vrnn.data.opening import Source, Unsplit
from pyro_vrnn.inference.results import Scale
from pyro_vrnn.model.variants import build
from pyro_vrnn.training.config import read
from pyro_vrnn.training.saving import save_model
from tests.commands.conftest import SMALL
from tests.model.pen import small_pen

STD = 25.0
MAP = Normaliser((0.0, 0.0, 0.0), (STD, STD, 1.0))


def part(seed: int, count: int, dither: bool) -> Sequences:
    """Lines of a pen on an integer grid that often does not move, and is lifted every seventh point."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        T = int(rng.integers(12, 30))
        offsets = np.rint(rng.normal(0, STD, (T, 2))) * (rng.random((T, 2)) > 0.3)
        rows.append(np.column_stack([offsets, np.arange(T) % 7 == 6]).astype(np.int16))
    noise = Dither(0, 1.0, range(count)) if dither else None
    names = [f"{seed}-{i}.xml" for i in range(count)]
    return Sequences(rows, names, None, frame=3, sample_rate=None, normaliser=MAP, dither=noise, kind="pen", step=1.0)


def corpus(options: DataOptions) -> Corpus:
    train, validation, test = (part(seed, n, options.dither) for seed, n in enumerate((24, 6, 8)))
    rows = [part.samples(i) for part in (train, validation, test) for i in range(len(part))]
    return Corpus(
        name=options.source, sample_rate=None, frame=3, lsb=1.0, lossless=True, normaliser=MAP,
        train=train, validation=validation, test=test, skipped=(), checksum="1" * 64, speakers=None, clips=38,
        constant_frames=sum(int((row[:, :2] == 0).any(1).sum()) for row in rows), dither=options.dither, kind="pen",
    )  # fmt: skip


@pytest.fixture
def pen_command(command, monkeypatch):
    """Commands that find the corpus wherever they look for one."""
    for module in (fitting, subject):
        monkeypatch.setattr(module, "look", lambda options: Source("pen", 3))
        monkeypatch.setattr(module, "load", lambda options, *, seed, progress=None: corpus(options))
    return command


def fit(pen_command, *arguments: str):
    short = ("--set", "training.epochs=2", "--set", "training.batch_size=8", "--set", "evaluation.particles=4")
    return pen_command("fit", "--data", "lines", *SMALL, *short, *arguments)


@pytest.mark.parametrize(
    ("variant", "emission", "first", "dither"),
    [("vrnn-gmm", "pen", "elbo", ("--dither",)), ("rnn-gauss", "pen-gauss", "exact", ())],
)
def test_fit_trains_on_strokes_and_tells_the_pen_apart(pen_command, tmp_path, variant, emission, first, dither):
    ended = fit(pen_command, "--variant", variant, *dither, "--name", "lines")
    assert ended.status == 0, ended.err
    assert re.search(r"38 sequences.* points of 3 values", ended.out)
    assert "pen, nats / frame" in ended.out
    warned = r"warning: \d+ points \(\d\d\.\d%\) have an offset of exactly 0: .*; pass --dither"
    assert bool(re.search(warned, ended.out)) == (not dither)
    assert "components at the floor of sigma take 0.0% of the density" in ended.out
    assert "16-bit" not in ended.out
    assert "FLAC" not in ended.out
    results = json.loads(next(tmp_path.rglob("results.json")).read_text())
    held = results["results"][first]
    frames, width = held["frames"], 2
    offsets = held["nats_per_frame"] - held["pen_nats_per_frame"]
    assert held["nats_per_dimension"] == pytest.approx(offsets / width)
    assert held["bits_per_sample"] == pytest.approx((np.log(STD) - offsets / width) / np.log(2))
    assert held["pen_nats_per_frame"] < 0
    assert results["share_at_sigma_floor"] == 0
    assert results["results"]["iid_gaussian"]["pen_nats_per_frame"] == pytest.approx(-np.log(2))
    with next(tmp_path.rglob("results.sequences.csv")).open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert sum(float(row[f"{first}_pen"]) for row in rows) == pytest.approx(frames * held["pen_nats_per_frame"])
    stored = next(path.read_text() for path in tmp_path.rglob("config.toml"))
    assert f'emission = "{emission}"' in stored

    again = pen_command("evaluate", "lines", "--estimator", first, "--out", "again.json")
    assert again.status == 0, again.err
    assert "components at the floor of sigma take 0.0% of the density" in again.out
    found = json.loads((tmp_path / "again.json").read_text())
    assert found["results"][first]["bits_per_sample"] == pytest.approx(held["bits_per_sample"], rel=1e-6)
    assert found["share_at_sigma_floor"] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("--emission", "gmm"), "choose pen"), (("--variant", "rnn-gauss", "--emission", "gaussian"), "choose pen-gauss")],
)
def test_an_emission_that_knows_no_pen_is_refused_in_one_line(pen_command, tmp_path, arguments, said):
    ended = fit(pen_command, *arguments)
    assert ended.status == 2
    assert said in ended.err
    assert len(ended.err.strip().splitlines()) == 1
    assert not list(tmp_path.rglob("config.toml"))


def test_a_pens_emission_on_sound_is_refused_in_one_line(command):
    ended = command("fit", "--emission", "pen", "--data", "demo-speech")
    assert ended.status == 2
    assert "for strokes of a pen (dx, dy, pen), and the data are audio" in ended.err
    assert len(ended.err.strip().splitlines()) == 1


def test_a_density_on_the_floor_of_sigma_is_warned_of():
    net = small_pen("rnn-gauss").float()
    with torch.no_grad():
        net.emission.net.last_bias[-2:] = -1e6
    test = part(2, 3, dither=False)
    asked = subject.Subject(test, Scale(2, STD), "", {}, lossless=True)
    found = evaluating.evaluate(net, asked, evaluating.Request(batch_size=4, seed=0), lambda *_: None)
    assert found.metrics()["share_at_sigma_floor"] == 1
    assert any("take 100.0% of the density" in warning and "--dither" in warning for warning in found.warnings)


@pytest.mark.parametrize("name", ["elbo", "smc"])
def test_score_gives_the_pens_share_of_every_point(pen_command, monkeypatch, tmp_path, name):
    config = read(None, {"data": {"source": "lines"}, "model": {"variant": "vrnn-gmm"}}, SMALL[1::2]).explicit(3, "pen")
    lines = corpus(config.data)
    save_model(tmp_path / "model", build(config.model, 3), config, lines.describe())
    monkeypatch.setattr(subject, "read", lambda *_, **__: Unsplit(lines.test, (), 1.0, True))
    ended = pen_command("score", "./model", "other", "--estimator", name, "--out", "points.csv")
    assert ended.status == 0, ended.err
    with (tmp_path / "points.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert len(rows) == lines.test.lengths.sum()
    assert ("pen" in rows[0]) == (name == "elbo")
    for row in rows:
        offsets = float(row["nats"]) - float(row.get("pen", 0))
        assert float(row["bits_per_sample"]) == pytest.approx((np.log(STD) - offsets / 2) / np.log(2))
    with (tmp_path / "points.sequences.csv").open(newline="") as table:
        whole = list(csv.DictReader(table))
    if name == "elbo":
        assert sum(float(row["pen"]) for row in rows) == pytest.approx(sum(float(row["pen"]) for row in whole))
