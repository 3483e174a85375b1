"""Prepared corpora of pen strokes and of numbers: rows instead of samples, parts and people that files tell."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyro_vrnn.data import DataOptions, Normaliser, load, look, read
from pyro_vrnn.data.audio import UnusableError
from pyro_vrnn.data.prepared import corpora, work
from pyro_vrnn.data.prepared.corpora import Plan, Recipe, Used
from pyro_vrnn.data.prepared.manifest import VALUES, read_manifest
from pyro_vrnn.data.prepared.preparing import prepare
from pyro_vrnn.data.readers import Contents, Item
from pyro_vrnn.data.recordings import Skipped

from .files import Refused, all_arrays, write_clips


def reader(path: Path, name: str) -> Contents:
    """Of arrays `(T, D)`; a file of several `(n, T, D)` has a writer each and says the parts."""
    values = np.load(path)
    if values.size == 0:
        raise UnusableError("holds nothing")
    if values.ndim == 2:
        return Contents((Item(name, values),), ())
    parts = ("train", "train", "validation", "test")
    items = tuple(Item(f"{name}#{k}", x, f"w{k % 3}", f"text {k}", parts[k % 4]) for k, x in enumerate(values))
    return Contents(items[1:], (Skipped(f"{name}#0", "first"),))


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(corpora.CORPORA, "strokes", Recipe("pen", reader, all_arrays, {}))
    monkeypatch.setitem(corpora.CORPORA, "arrays", Recipe("arrays", reader, all_arrays, {}))


def rows(n: int, *, seed: int, dtype: Any = np.int16, far: int = 90) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return np.column_stack([generator.integers(-far, far, (n, 2)), np.arange(n) % 5 == 4]).astype(dtype)


def folder(root: Path, count: int = 12, **form: Any) -> Path:
    root.mkdir()
    for i in range(count):
        np.save(root / f"{i:02d}.npy", rows(5 + 3 * i, seed=i, **form))
    return root


def options(tmp_path: Path, **given: Any) -> DataOptions:
    return DataOptions(source=str(tmp_path / "cache"), **given)


def made(source: Path, corpus: str = "strokes", **given: Any) -> None:
    prepare(corpus, DataOptions(source=str(source), **given), source.parent / "cache")


def test_pen_strokes(tmp_path: Path) -> None:
    made(folder(tmp_path / "pen"))
    assert look(options(tmp_path)) == ("pen", 3)
    corpus = load(options(tmp_path), seed=0)
    assert (corpus.kind, corpus.frame, corpus.width, corpus.sample_rate) == ("pen", 3, 2, None)
    assert (corpus.lsb, corpus.lossless, corpus.clips, corpus.dropped) == (1.0, True, 12, 0)
    whole = {f"{i:02d}.npy": rows(5 + 3 * i, seed=i) for i in range(12)}
    offsets = np.concatenate([whole[name][:, :2].ravel() for name in corpus.train.names]).astype(np.float64)
    mean, std = offsets.mean(), offsets.std()
    assert corpus.normaliser.mean == pytest.approx((mean, mean, 0.0))
    assert corpus.normaliser.std == pytest.approx((std, std, 1.0))
    assert corpus.std_lsb == pytest.approx(std)
    for name, x, i in zip(corpus.train.names, corpus.train, range(99), strict=False):
        np.testing.assert_array_equal(corpus.train.samples(i), whole[name])
        np.testing.assert_allclose(x[:, :2], (whole[name][:, :2] - mean) / std, atol=1e-5)
        np.testing.assert_array_equal(x[:, 2], whole[name][:, 2])
    released = load(options(tmp_path, normaliser="released"), seed=0).normaliser
    total = offsets.sum() / (len(offsets) / 2)
    assert released.mean == pytest.approx((total, total, 0.0))
    assert released.std[0] == pytest.approx(np.sqrt(((offsets - total) ** 2).sum() / (len(offsets) / 2)))  # type: ignore[index]
    zeros = sum(int((x[:, :2] == 0).any(axis=1).sum()) for x in whole.values())
    assert corpus.constant_frames == zeros > 0
    noisy = load(options(tmp_path, dither=True), seed=0)
    apart = (noisy.train[1] - corpus.train[1]) * std
    assert 0.3 < np.abs(apart[:, :2]).max() <= 0.501
    np.testing.assert_array_equal(apart[:, 2], 0)


def test_numbers(tmp_path: Path) -> None:
    made(folder(tmp_path / "rows", dtype=np.float32), "arrays")
    corpus = load(options(tmp_path), seed=0)
    train = np.concatenate(list(corpus.train)).astype(np.float64)
    np.testing.assert_allclose((train.mean(axis=0), train.std(axis=0)), ((0, 0, 0), (1, 1, 1)), atol=1e-5)
    assert (corpus.lsb, corpus.std_lsb, corpus.lossless, corpus.width) == (None, None, False, 3)
    assert np.load(tmp_path / "cache" / VALUES).shape == (sum(5 + 3 * i for i in range(12)), 3)


def test_what_files_tell_is_kept(tmp_path: Path) -> None:
    (tmp_path / "pen").mkdir()
    np.save(tmp_path / "pen" / "a.npy", np.stack([rows(9, seed=i) for i in range(12)]))
    np.save(tmp_path / "pen" / "b.npy", rows(0, seed=0))
    made(tmp_path / "pen")
    corpus = load(options(tmp_path), seed=0)
    assert list(corpus.validation.names) == [f"a.npy#{k}" for k in (2, 6, 10)]
    assert list(corpus.test.names) == [f"a.npy#{k}" for k in (3, 7, 11)]
    assert list(corpus.train.speakers or ()) == [f"w{k % 3}" for k in (1, 4, 5, 8, 9)]
    assert (corpus.speakers, corpus.train.voices, corpus.test.voices) == (3, 3, 3)
    assert corpus.train[1:3].voices == 2
    assert corpus.skipped == (("a.npy#0", "first"), ("b.npy", "holds nothing"))
    everything = read(options(tmp_path), Normaliser((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))).sequences
    assert list(everything.names) == [f"a.npy#{k}" for k in range(1, 12)]
    np.testing.assert_array_equal(everything[4], rows(9, seed=5))


@pytest.mark.parametrize("stop", [None, 4, 5, 8, 9, 11])
def test_values_grow_wider_and_work_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int | None) -> None:
    """The fifth file needs 32 bits, the ninth holds floats: what was stored before is written again."""
    source = folder(tmp_path / "rows")
    np.save(source / "04.npy", rows(20, seed=4, dtype=np.int32, far=10**6))
    np.save(source / "08.npy", rows(20, seed=8, dtype=np.float32))
    monkeypatch.setattr(work, "BLOCK", 12)

    def told(what: str, done: int, total: int) -> None:
        if done == stop:
            raise KeyboardInterrupt

    if stop is not None:
        with pytest.raises(KeyboardInterrupt):
            prepare("arrays", DataOptions(source=str(source)), tmp_path / "cache", progress=told)
    done = prepare("arrays", DataOptions(source=str(source)), tmp_path / "cache")
    assert done.resumed == (stop or 0)
    assert read_manifest(tmp_path / "cache").dtype == "float32"
    everything = read(options(tmp_path), Normaliser((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))).sequences
    for name, x in zip(everything.names, everything, strict=True):
        np.testing.assert_array_equal(x, np.load(source / name).astype(np.float32))


def test_rows_of_another_width_are_refused(tmp_path: Path, refused: Refused) -> None:
    source = folder(tmp_path / "rows")
    np.save(source / "07.npy", np.ones((9, 4), np.float32))
    with refused("07.npy: rows of 4 values", "00.npy has rows of 3"):
        made(source, "arrays")
    np.save(source / "08.npy", rows(1, seed=0))
    made(source)
    assert load(options(tmp_path), seed=0).skipped == (
        ("07.npy", "rows of 4 values; expected dx, dy, pen"),
        ("08.npy", "1 points are less than two points"),
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"segment": 0.5}, "--segment"),
        ({"frame": 5}, "--frame"),
        ({"sample_rate": 16000}, "its rows have no rate; leave it out"),
        ({"mix": True}, "--mix: of sound alone; leave it out"),
        ({"resample": True}, "--resample: of sound alone; leave it out"),
        ({"dither": True}, "its values are floats"),
        ({"normaliser": "released"}, "--normaliser released"),
    ],
)
def test_what_has_no_meaning_for_rows(tmp_path: Path, refused: Refused, given: Mapping[str, Any], said: str) -> None:
    made(folder(tmp_path / "rows", dtype=np.float32), "arrays")
    with refused(said):
        load(options(tmp_path, **given), seed=0)


def test_a_column_that_never_changes_is_refused(tmp_path: Path, refused: Refused) -> None:
    source = tmp_path / "rows"
    source.mkdir()
    for i in range(5):
        np.save(source / f"{i}.npy", np.column_stack([np.arange(9.0), np.full(9, 2.0)]))
    with refused("constant in value 2 of 2"):
        made(source, "arrays")


def test_a_corpus_with_parts_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused) -> None:
    def plan(names: Any, own: Mapping[str, Any], seed: int, root: Path) -> Plan:
        parts = ("train", "train", "validation", "test")
        used = [Used(name, f"s{i % 6}", parts[i % 4], f"words {i}") for i, name in enumerate(sorted(names))]
        return Plan(tuple(used), (Skipped("x", "why"),), None, ("a note",))

    monkeypatch.setitem(corpora.CORPORA, "strokes", Recipe("pen", reader, plan, {}))
    source = folder(tmp_path / "pen")
    with refused("--test-pattern: strokes has parts of its own"):
        made(source, test_pattern="1")
    made(source)
    corpus = load(options(tmp_path), seed=0)
    assert list(corpus.test.names) == ["03.npy", "07.npy", "11.npy"]
    assert list(corpus.test.speakers or ()) == ["s3", "s1", "s5"]
    assert read_manifest(tmp_path / "cache").notes == ["a note"]
    assert ("x", "why") in corpus.skipped


def test_shares_of_files_that_say_their_parts(tmp_path: Path, refused: Refused) -> None:
    source = tmp_path / "pen"
    source.mkdir()
    np.save(source / "all.npy", np.stack([rows(20, seed=i) for i in range(12)]))
    with refused("--test: all sequences of", "--split random"):
        made(source, test=0.2)
    made(source, test=0.2, split="random")
    assert len(load(options(tmp_path), seed=0).test) == 2


@pytest.mark.parametrize("drawn", ["speakers", "segments"])
def test_what_parts_are_drawn_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawn: Any) -> None:
    def plan(names: Any, own: Mapping[str, Any], seed: int, root: Path) -> Plan:
        used = [Used(name, f"s{i % 4}") for i, name in enumerate(sorted(names))]
        return Plan(tuple(used), (), drawn)

    monkeypatch.setitem(corpora.CORPORA, "accent", Recipe("audio", None, plan, {"segment": 0.05}))
    write_clips(tmp_path / "clips", [2500, 4100] * 8)
    prepare("accent", DataOptions(source=str(tmp_path / "clips"), test=0.25, validation=0.25), tmp_path / "cache")
    corpus = load(options(tmp_path), seed=0)
    people = [set(part.speakers or ()) for part in corpus.parts.values()]
    homes = [{name.partition("#")[0] for name in part.names} for part in corpus.parts.values()]
    assert sum(map(len, corpus.parts.values())) == 8 * (3 + 5)
    assert {length for part in corpus.parts.values() for length in part.lengths.tolist()} == {4}
    if drawn == "speakers":
        assert [len(people[i] & people[j]) for i, j in ((0, 1), (0, 2), (1, 2))] == [0, 0, 0]
    else:
        assert homes[0] & homes[1]
        assert all(name.count("#") == 1 for name in corpus.train.names)


def test_work_that_ends_just_after_values_grew_wider_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = folder(tmp_path / "rows")
    np.save(source / "04.npy", rows(20, seed=4, dtype=np.int32, far=10**6))
    append = work.Work._append

    def ended(self: work.Work, values: np.ndarray) -> None:
        if self.dtype == "int32":
            raise KeyboardInterrupt
        append(self, values)

    with monkeypatch.context() as patch:
        patch.setattr(work.Work, "_append", ended)
        with pytest.raises(KeyboardInterrupt):
            made(source, "arrays")
    assert prepare("arrays", DataOptions(source=str(source)), tmp_path / "cache").resumed == 4
    everything = read(options(tmp_path), Normaliser((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))).sequences
    for i, x in enumerate(everything):
        np.testing.assert_array_equal(x, np.load(source / everything.names[i]))
