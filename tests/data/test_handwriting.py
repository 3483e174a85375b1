"""The embedded handwriting: the same for everybody, split by writer, and of a style that is a writer's own."""

import json
import string
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pyro_vrnn.data import DataOptions, Normaliser, handwriting, load, look, read
from pyro_vrnn.data.handwriting import LINES, LONGEST, SHORTEST, WORDS, WRITERS, Line, checksum, compose, lines
from pyro_vrnn.measures.ink import intraclass, measure

from .files import Refused


@pytest.fixture(scope="module")
def written() -> list[Line]:
    return list(lines())


CHECKSUM = "e0e0991d04aa4464b36bd2373b3efc73cf78fdbdebfbb5ce60732b528df9e9a4"


def test_words_are_many_and_distinct() -> None:
    assert len(WORDS) == len(set(WORDS)) > 400
    assert set("".join(WORDS)) == set(string.ascii_lowercase)


def test_everybody_has_the_same_lines(written: list[Line]) -> None:
    assert checksum(written) == CHECKSUM


def test_lines_are_few_words_on_an_integer_grid(written: list[Line]) -> None:
    for line in written:
        assert line.rows.dtype == np.int16
        assert 25 < len(line.rows) < 400
        assert 2 <= len(line.text.split()) <= 4
        assert SHORTEST <= len(line.text.replace(" ", "")) <= LONGEST
        assert set(line.text.lower().split()) <= set(WORDS)
    rows = np.concatenate([line.rows for line in written])
    assert (rows[:, :2] == 0).mean() > 0.02, "offsets on a grid are exactly 0 now and then"
    assert len({line.text for line in written}) > 0.99 * len(written)
    assert {"A", "T", "a", "z"} <= set("".join(line.text for line in written))


def test_no_writer_is_on_two_sides(written: list[Line]) -> None:
    assert len({line.name for line in written}) == len(written) == LINES * sum(WRITERS.values())
    assert Counter(line.part for line in written) == {part: LINES * writers for part, writers in WRITERS.items()}
    assert set(Counter(line.writer for line in written).values()) == {LINES}
    assert len({(line.writer, line.part) for line in written}) == sum(WRITERS.values())


def test_style_is_the_writers_and_not_the_lines(written: list[Line]) -> None:
    features = measure([line.rows for line in written])
    found = {name: intraclass(values.reshape(-1, LINES)) for name, values in features.items()}
    assert found == {
        "slant": pytest.approx(0.94, abs=0.03),
        "height": pytest.approx(0.87, abs=0.04),
        "stroke": pytest.approx(0.77, abs=0.05),
        "speed": pytest.approx(0.99, abs=0.01),
    }
    # The words are no writer's own: their number of letters says nothing.
    letters = np.array([len(line.text) for line in written], float).reshape(-1, LINES)
    assert abs(intraclass(letters)) < 0.1


def test_what_is_written_is_drawn_evenly() -> None:
    random = np.random.RandomState(0)
    texts = [compose(random) for _ in range(2000)]
    counts = Counter(len(text.split()) for text in texts)
    assert counts.keys() == {2, 3, 4}
    assert min(counts.values()) > 550
    assert 0.45 < sum(text[0].isupper() for text in texts) / 2000 < 0.55


@pytest.fixture
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of one's own and a set of seven writers."""
    monkeypatch.setenv("PYRO_VRNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(handwriting, "WRITERS", {"train": 4, "validation": 1, "test": 2})
    return tmp_path / "cache"


def test_it_opens_as_pen_strokes_in_parts(few: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    options = DataOptions(source="demo-handwriting")
    assert look(options) == ("pen", 3)
    corpus = load(options, seed=0, progress=lambda *step: seen.append(step))
    assert (corpus.kind, corpus.frame, corpus.width, corpus.lsb, corpus.lossless) == ("pen", 3, 2, 1.0, True)
    assert [len(part) for part in corpus.parts.values()] == [4 * LINES, LINES, 2 * LINES]
    assert corpus.speakers == 7
    assert not set(corpus.train.speakers or ()) & set(corpus.test.speakers or ())
    assert (seen[0], seen[-1]) == (("writing demo-handwriting", 0, 21), ("writing demo-handwriting", 21, 21))
    written = list(lines())
    assert corpus.checksum == checksum(written)
    for line, stored in zip(written, corpus.train, strict=False):
        restored = corpus.normaliser.restore(stored.astype(np.float64))
        assert np.abs(restored - line.rows).max() < 1e-3
    assert corpus.constant_frames > 0
    seen.clear()
    again = load(options, seed=5, progress=lambda *step: seen.append(step))
    assert again.checksum == corpus.checksum
    assert not seen
    assert again.test.names == corpus.test.names, "the seed splits nothing here"


def test_its_normalisers_are_ours_or_the_released_one(few: Path) -> None:
    options = DataOptions(source="demo-handwriting")
    ours = load(options, seed=0)
    values = np.concatenate([ours.train.samples(i)[:, :2] for i in range(len(ours.train))]).astype(float)
    assert ours.normaliser.mean == (pytest.approx(values.mean()), pytest.approx(values.mean()), 0)
    assert ours.normaliser.std == (pytest.approx(values.std()), pytest.approx(values.std()), 1)
    released = load(options.model_copy(update={"normaliser": "released"}), seed=0).normaliser
    assert released.mean[0] == pytest.approx(values.sum() / len(values))


def test_dither_moves_offsets_and_never_the_pen(few: Path) -> None:
    plain = load(DataOptions(source="demo-handwriting"), seed=0)
    dithered = load(DataOptions(source="demo-handwriting", dither=True), seed=0)
    assert dithered.dither
    apart = plain.test[0] - dithered.test[0]
    assert 0.1 < np.abs(apart[:, :2] * plain.normaliser.std[0]).max() <= 0.5
    assert not apart[:, 2].any()


def test_all_of_it_is_read_for_another_model(few: Path) -> None:
    normaliser = Normaliser((0.0, 0.0, 0.0), (2.0, 2.0, 1.0))
    found = read(DataOptions(source="demo-handwriting"), normaliser)
    assert (len(found.sequences), found.lsb, found.lossless) == (7 * LINES, 1.0, True)
    assert np.array_equal(found.sequences[0][:, :2], found.sequences.samples(0)[:, :2] / 2)


@pytest.mark.parametrize(
    ("option", "value", "typed"),
    [
        ("frame", 7, "--frame 7"),
        ("segment", 0.5, "--segment 0.5"),
        ("split", "speaker", "--split speaker"),
        ("test", 0.3, "--set data.test=0.3"),
        ("resample", True, "--resample has"),
    ],
)
def test_what_has_no_meaning_is_refused(option: str, value: object, typed: str, refused: Refused) -> None:
    with refused("demo-handwriting", typed, "leave it out"):
        load(DataOptions(source="demo-handwriting", **{option: value}), seed=0)


def test_another_recipe_is_written_anew(few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = handwriting.prepare()
    monkeypatch.setattr(handwriting, "FORMAT", handwriting.FORMAT + 1)
    second = handwriting.prepare()
    assert first != second
    assert json.loads((second / "manifest.json").read_text())["format"] == handwriting.FORMAT
