"""``encode``: latents and states of every frame, equal to the library's, as arrays or as a table."""

import numpy as np
import pyarrow.parquet
import pytest
import torch

from pyro_vrnn.commands import encoding
from pyro_vrnn.errors import TrackingError
from pyro_vrnn.inference.encode import encode

from .conftest import record, untrained
from .test_score import cut_up, sequences_of


@pytest.fixture
def others(tmp_path):
    folder = record(tmp_path / "others", 6, seed=5)
    return record(folder / "deep", 3, seed=6).parent


def expected_of(model, folder, **options):
    """Arrays of each sequence by its name, encoded whole and alone."""
    trained, sequences = sequences_of(model, folder)
    found = {}
    for i, name in enumerate(sequences.names):
        x = torch.from_numpy(sequences[i])[None]
        (part,) = encode(trained.net, [(x, torch.ones(x.shape[:2], dtype=torch.bool), torch.tensor([i]))], **options)
        found[name] = part
    return found


CASES = [("vrnn-gauss", False), ("vrnn-gauss", True), ("srnn", False), ("storn", True), ("rnn-gauss", False)]


@pytest.mark.parametrize(("variant", "drawn"), CASES)
@pytest.mark.parametrize("pieced", [False, True])
def test_an_archive_holds_the_librarys_arrays(variant, drawn, pieced, command, tmp_path, others, monkeypatch):
    model = untrained(tmp_path / "model", variant, source=str(record(tmp_path / "tones")))
    expected = expected_of(model, others, sampled=drawn, seed=3)
    if pieced:
        cut_up(monkeypatch)
        monkeypatch.setattr(encoding, "HELD", 20)
    ended = command("encode", model, others, "--out", "e.npz", "--seed", "3", *(["--draw"] if drawn else []))
    assert ended.status == 0, ended.err
    fields = ["h"] if variant == "rnn-gauss" else ["z", "z_std", "h"]
    with np.load(tmp_path / "e.npz") as held:
        assert sorted(held) == sorted(f"{name}.{field}" for name in expected for field in [*fields, "time"])
        assert "deep/000.wav.h" in held
        for name, part in expected.items():
            for field in fields:
                assert held[f"{name}.{field}"].dtype == np.float32
                assert held[f"{name}.{field}"] == pytest.approx(getattr(part, field), rel=1e-4, abs=1e-5)
            assert held[f"{name}.time"] == pytest.approx(np.arange(len(part.h)) * 0.025)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.npz", "model", "others", "tones"]


@pytest.mark.parametrize(("variant", "drawn"), CASES)
@pytest.mark.parametrize("pieced", [False, True])
def test_a_table_holds_the_librarys_arrays(variant, drawn, pieced, command, tmp_path, others, monkeypatch):
    model = untrained(tmp_path / "model", variant, source=str(record(tmp_path / "tones")))
    expected = expected_of(model, others, sampled=drawn, seed=3)
    if pieced:
        cut_up(monkeypatch)
    ended = command("encode", model, others, "--out", "e.parquet", "--seed", "3", *(["--draw"] if drawn else []))
    assert ended.status == 0, ended.err
    held = pyarrow.parquet.read_table(tmp_path / "e.parquet")
    fields = ["h"] if variant == "rnn-gauss" else ["z", "z_std", "h"]
    assert held.column_names == ["sequence", "frame", "time", *fields]
    assert held["sequence"].to_pylist() == [name for name, part in expected.items() for _ in part.h]
    assert held["frame"].to_pylist() == [t for part in expected.values() for t in range(len(part.h))]
    assert held["time"].to_numpy() == pytest.approx(held["frame"].to_numpy() * 0.025)
    for field in fields:
        joined = np.concatenate([getattr(part, field) for part in expected.values()])
        assert np.array(held[field].to_pylist()) == pytest.approx(joined, rel=1e-4, abs=1e-5)


def test_means_need_no_seed_and_draws_do(command, tmp_path, others):
    model = untrained(tmp_path / "model", source=str(record(tmp_path / "tones")))

    def content(*more):
        assert command("encode", model, others, "--out", "e.npz", *more).status == 0
        return (tmp_path / "e.npz").read_bytes()

    assert content() == content("--seed", "5")
    assert content("--draw") == content("--draw") != content()
    assert content("--draw") != content("--draw", "--seed", "5")


MISTAKES = {
    "ending": (["others", "--out", "e.csv"], [".npz or .parquet"]),
    "no folder": (["others", "--out", "no/e.npz"], ["does not exist"]),
    "a folder": (["others", "--out", "folder.npz"], ["a folder"]),
    "nothing there": (["nowhere", "--out", "e.npz"], ["nowhere"]),
    "other rate": (["others", "--sample-rate", "16000", "--out", "e.npz"], ["8000 Hz"]),
    "no out": (["others"], ["--out"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(mistake, command, tmp_path, others):
    model = untrained(tmp_path / "model", source=str(record(tmp_path / "tones")))
    (tmp_path / "folder.npz").mkdir()
    options, words = MISTAKES[mistake]
    before = sorted(tmp_path.rglob("*"))
    ended = command("encode", model, *options)
    assert (ended.status, ended.err.count("\n")) == (2, 1), ended
    for word in words:
        assert word in ended.err, ended.err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("ending", ["npz", "parquet"])
def test_a_full_disk_midway_leaves_what_was_there(ending, command, tmp_path, others, monkeypatch):
    model = untrained(tmp_path / "model", source=str(record(tmp_path / "tones")))
    (tmp_path / f"e.{ending}").write_text("an earlier one")
    cut_up(monkeypatch)
    begun = []

    def full(path):
        def copy(*arguments, **options):
            begun.append(arguments)
            if len(begun) > 3:
                raise OSError(28, "No space left on device") if ending == "npz" else TrackingError("No space left")
            return path(*arguments, **options)

        return copy

    if ending == "npz":
        monkeypatch.setattr(encoding, "_add", full(encoding._add))
    else:
        monkeypatch.setattr(encoding.TableWriter, "write", full(encoding.TableWriter.write))
    before = sorted(tmp_path.rglob("*"))
    ended = command("encode", model, others, "--out", f"e.{ending}")
    assert (ended.status, ended.err.count("\n")) == (2, 1), ended
    assert "No space left" in ended.err
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / f"e.{ending}").read_text() == "an earlier one"
