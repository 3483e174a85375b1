"""``score``: a row a frame, equal to the library's numbers, in constant memory."""

import json
import math
import subprocess
import sys

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
import soundfile
import torch

import pyro_vrnn
from pyro_vrnn.commands import scoring, subject
from pyro_vrnn.data import Normaliser, read, scoring_batches
from pyro_vrnn.errors import TrackingError
from pyro_vrnn.inference import pieces
from pyro_vrnn.inference.encode import score_frames
from pyro_vrnn.inference.noise import Noise
from pyro_vrnn.inference.smc import smc
from pyro_vrnn.training.config import DataOptions

from .conftest import CLI, record, untrained


@pytest.fixture
def model(command, tmp_path):
    return untrained(tmp_path / "model", source=str(record(tmp_path / "tones")))


@pytest.fixture
def others(tmp_path):
    """Clips whose names are in another order than their lengths."""
    return record(tmp_path / "others", 9, seed=5)


def table(path):
    held = pyarrow.parquet.read_table(path) if path.suffix == ".parquet" else pyarrow.csv.read_csv(path)
    return {name: held[name].to_numpy(zero_copy_only=False) for name in held.column_names}


def sequences_of(model, folder, **more):
    trained = pyro_vrnn.load(model)
    normaliser = Normaliser(trained.data["mean"], trained.data["std"])
    return trained, read(DataOptions(source=str(folder), **more), normaliser)[0]


def whole_and_alone(net, sequences, name):
    """Nats of each sequence's frames, scored by itself and in one piece."""
    found = []
    for i in range(len(sequences)):
        x = torch.from_numpy(sequences[i])[None]
        batch = (x, torch.ones(x.shape[:2], dtype=torch.bool), torch.tensor([i]))
        (part,) = score_frames(net, [batch], name, particles=3, seed=2)
        found.append(part.nats)
    return found


def cut_up(monkeypatch, *, longest=3, piece=2, window=9, rows=4):
    """Everything that limits what is held at once, as small as it goes."""
    monkeypatch.setattr(pieces, "LONGEST", longest)
    monkeypatch.setattr(pieces, "PIECE", piece)
    monkeypatch.setattr(subject, "LONGEST", longest)
    monkeypatch.setattr(subject, "WINDOW", window)
    monkeypatch.setattr(subject, "ROWS", rows)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize(("variant", "name"), [("vrnn-gauss", "smc"), ("srnn", "elbo"), ("rnn-gauss", "exact")])
@pytest.mark.parametrize("pieced", [False, True])
def test_every_frame_is_the_librarys_in_order(variant, name, ending, pieced, command, tmp_path, others, monkeypatch):
    model = untrained(tmp_path / "model", variant, source=str(record(tmp_path / "tones")))
    trained, sequences = sequences_of(model, others)
    expected = whole_and_alone(trained.net, sequences, name)
    if pieced:
        cut_up(monkeypatch)
    more = [] if name in ("smc", "exact") else ["--estimator", name]
    ended = command("score", model, others, "--out", f"s.{ending}", "--particles", "3", "--seed", "2", *more)
    assert ended.status == 0, ended.err
    found = table(tmp_path / f"s.{ending}")
    counted = list(zip(sequences.names, sequences.lengths, strict=True))
    assert list(found["sequence"]) == [name for name, length in counted for _ in range(length)]
    assert list(found["frame"]) == [t for _, length in counted for t in range(length)]
    assert found["time"] == pytest.approx(found["frame"] * 200 / 8000)
    assert found["nats"] == pytest.approx(np.concatenate(expected), rel=1e-4)
    std_lsb = trained.data["std"] * 2**15
    bits = (math.log(std_lsb) - found["nats"] / 200) / math.log(2)
    assert found["bits_per_sample"] == pytest.approx(bits, rel=1e-6)
    assert ("ess" in found) == (name == "smc")
    if name == "smc":
        x, mask, indices = next(iter(scoring_batches(sequences, 1)))
        with torch.no_grad():
            ess = smc(trained.net, x, mask, 3, noise=Noise(2, indices)).ess[0]
        shortest = found["ess"][found["sequence"] == sequences.names[int(indices)]]
        assert shortest == pytest.approx(ess.numpy(force=True), rel=1e-3)
    beside = table(tmp_path / f"s.sequences.{ending}")
    assert list(beside["sequence"]) == sequences.names
    assert list(beside["frames"]) == list(sequences.lengths)
    assert beside["seconds"] == pytest.approx(sequences.lengths * 200 / 8000)
    sums = [found["nats"][found["sequence"] == name].sum() for name in sequences.names]
    assert beside["nats"] == pytest.approx(sums, rel=1e-9)
    assert beside["nats_per_frame"] == pytest.approx(beside["nats"] / beside["frames"])
    assert set(beside["estimator"]) == {"smc_3" if name == "smc" else name}
    assert set(beside["kind"]) == {{"smc": "consistent", "elbo": "bound", "exact": "exact"}[name]}


SCORED = [("vrnn-gauss", "smc"), ("vrnn-gauss", "elbo"), ("storn", "elbo_sampled"), ("rnn-gmm", "exact")]


@pytest.mark.parametrize("dither", [False, True])
@pytest.mark.parametrize(("variant", "name"), SCORED)
def test_frames_add_up_to_what_evaluate_says(variant, name, dither, command, tmp_path, others, monkeypatch):
    """Also where the recordings are not scored together: a recording's noise is its own."""
    model = untrained(tmp_path / "model", variant, source=str(record(tmp_path / "tones")), dither=dither)
    monkeypatch.setattr(subject, "WINDOW", 9)
    scored = command("score", model, others, "--estimator", name, "--out", "s.parquet", "--seed", "7")
    evaluated = command("evaluate", model, "--data", others, "--estimator", name, "--out", "e.json", "--seed", "7",
                        "--repetitions", "1")  # fmt: skip
    assert (scored.status, evaluated.status) == (0, 0), scored.err + evaluated.err
    results = json.loads((tmp_path / "e.json").read_text())["results"]
    (result,) = (value for key, value in results.items() if key != "iid_gaussian")
    found = table(tmp_path / "s.parquet")
    assert found["nats"].sum() / 9 == pytest.approx(result["nats_per_sequence"], rel=1e-5)
    assert result["mark"] + f" {result['nats_per_sequence']:.1f}"[:6] in scored.out
    by_sequence = table(tmp_path / "e.sequences.csv")
    key = next(column for column in by_sequence if column.startswith(name))
    assert table(tmp_path / "s.sequences.parquet")["nats"] == pytest.approx(by_sequence[key], rel=1e-4)


def test_one_file_and_segments_can_be_scored(model, command, tmp_path):
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(size=1000) * 0.1, 8000)
    ended = command("score", model, "a.wav", "--segment", "0.05", "--out", "s.csv")
    assert ended.status == 0, ended.err
    assert list(table(tmp_path / "s.sequences.csv")["sequence"]) == ["a.wav#0", "a.wav#1"]


def test_bits_are_left_out_where_no_grid_is_known(model, command, tmp_path):
    (tmp_path / "floats").mkdir()
    soundfile.write(tmp_path / "floats/a.wav", np.random.default_rng(0).normal(size=900) * 0.1, 8000, "FLOAT")
    assert command("score", model, tmp_path / "floats", "--out", "s.csv").status == 0
    assert list(table(tmp_path / "s.csv")) == ["sequence", "frame", "time", "nats", "ess"]
    assert "bits_per_sample" not in table(tmp_path / "s.sequences.csv")


def test_dither_turns_exact_into_a_bound(command, tmp_path, others):
    model = untrained(tmp_path / "model", "rnn-gauss", source=str(record(tmp_path / "tones")))
    assert command("score", model, others, "--dither", "--out", "s.csv").status == 0
    assert set(table(tmp_path / "s.sequences.csv")["kind"]) == {"bound"}


MISTAKES = {
    "iwae": (["others", "--estimator", "iwae"], ["no frame has a share", "smc, elbo"]),
    "stepwise": (["others", "--estimator", "stepwise"], ["forget"]),
    "exact": (["others", "--estimator", "exact"], ["has latents"]),
    "nothing there": (["nowhere"], ["nowhere"]),
    "ending": (["others", "--out", "s.xlsx"], [".csv or .parquet"]),
    "no folder": (["others", "--out", "no/s.csv"], ["does not exist"]),
    "no data": ([], ["DATA"]),
    "other frames": (["others", "--frame", "100"], ["frames of 200"]),
    "--data": (["others", "--data", "others"], ["--data"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(mistake, model, command, tmp_path, others):
    options, words = MISTAKES[mistake]
    before = sorted(tmp_path.rglob("*"))
    ended = command("score", model, *options, *([] if "--out" in options else ["--out", "s.csv"]))
    assert (ended.status, ended.err.count("\n")) == (2, 1), ended
    for word in words:
        assert word in ended.err, ended.err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("where", ["frames", "sequences"])
def test_what_goes_wrong_midway_leaves_nothing(where, model, command, tmp_path, others, monkeypatch):
    cut_up(monkeypatch)
    calls = []

    def full(*arguments):
        calls.append(arguments)
        if where == "sequences" or len(calls) > 2:
            raise TrackingError("the disk is full")
        return rows(*arguments)

    rows = scoring._rows
    monkeypatch.setattr(scoring, "_rows" if where == "frames" else "write_table", full)
    before = sorted(tmp_path.rglob("*"))
    ended = command("score", model, others, "--out", "s.csv")
    assert (ended.status, ended.err.count("\n")) == (2, 1), ended
    assert sorted(tmp_path.rglob("*")) == before


def test_windows_cover_all_and_keep_long_ones_alone(monkeypatch):
    monkeypatch.setattr(subject, "LONGEST", 10)
    monkeypatch.setattr(subject, "WINDOW", 12)
    lengths = np.array([3, 4, 5, 1, 11, 2, 2, 30, 12, 10, 10])
    found = list(subject.windows(lengths))
    assert [i for window in found for i in window] == list(range(len(lengths)))
    assert [list(window) for window in found] == [[0, 1, 2], [3], [4], [5, 6], [7], [8], [9], [10]]


@pytest.mark.parametrize("name", ["evaluate", "score", "encode"])
def test_help_imports_nothing_heavy(name):
    code = (
        f"import sys, runpy; sys.argv = ['cli', {name!r}, '--help']\n"
        f"try: runpy.run_path({str(CLI)!r}, run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print([m for m in ('torch', 'pyro', 'mlflow', 'numpy', 'pydantic', 'pyarrow', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")
