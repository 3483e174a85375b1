"""The embedded handwriting: the same for everybody, split by writer, and of a style that is a writer's own."""

import string
from collections import Counter

import numpy as np
import pytest

from pyro_vrnn.data.handwriting import LINES, LONGEST, SHORTEST, WORDS, WRITERS, Line, checksum, compose, lines


@pytest.fixture(scope="module")
def written() -> list[Line]:
    return list(lines())


def test_words_are_many_and_distinct() -> None:
    assert len(WORDS) == len(set(WORDS)) > 400
    assert set("".join(WORDS)) == set(string.ascii_lowercase)


def test_everybody_has_the_same_lines(written: list[Line]) -> None:
    assert checksum(written) == "4e4bd2df5d5d78d3e877ac386be98849606923ae84c6a2ef60bca12399937c07"


def test_lines_are_few_words_on_an_integer_grid(written: list[Line]) -> None:
    for line in written:
        assert line.rows.dtype == np.int16
        assert 40 < len(line.rows) < 500
        assert 2 <= len(line.text.split()) <= 5
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


def style(rows: np.ndarray) -> list[float]:
    """Slant in degrees, height, points a stroke, and length of an offset, of one line."""
    lifted = np.concatenate([[False], rows[:-1, 2] == 1])
    drawn = rows[~lifted, :2].astype(float)
    stems = drawn[(drawn[:, 1] > 0) & (np.abs(drawn[:, 0]) < 1.5 * drawn[:, 1])].sum(axis=0)
    height = np.cumsum(rows[:, 1].astype(float)).std()
    return [
        np.degrees(np.arctan2(-stems[0], stems[1])),
        height,
        len(rows) / rows[:, 2].sum(),
        np.hypot(*drawn.T).mean(),
    ]


def intraclass(values: np.ndarray) -> np.ndarray:
    """Share of the variance that lies between groups, of `(groups, members, features)` (Shrout & Fleiss 1979, 1,1)."""
    groups, members = values.shape[:2]
    means = values.mean(axis=1)
    between = members * means.var(axis=0, ddof=1)
    within = ((values - means[:, None]) ** 2).sum(axis=(0, 1)) / (groups * (members - 1))
    return (between - within) / (between + (members - 1) * within)


def test_style_is_the_writers_and_not_the_lines(written: list[Line]) -> None:
    features = np.array([style(line.rows) for line in written]).reshape(-1, LINES, 4)
    found = dict(zip(("slant", "height", "stroke", "speed"), intraclass(features), strict=True))
    assert found == {
        "slant": pytest.approx(0.95, abs=0.03),
        "height": pytest.approx(0.87, abs=0.04),
        "stroke": pytest.approx(0.77, abs=0.05),
        "speed": pytest.approx(0.99, abs=0.01),
    }
    # The words are no writer's own: their number of letters says nothing.
    letters = np.array([len(line.text) for line in written], float).reshape(-1, LINES, 1)
    assert abs(intraclass(letters)[0]) < 0.1


def test_what_is_written_is_drawn_evenly() -> None:
    random = np.random.RandomState(0)
    texts = [compose(random) for _ in range(2000)]
    counts = Counter(len(text.split()) for text in texts)
    assert counts.keys() == {2, 3, 4, 5}
    assert min(counts.values()) > 400
    assert 0.45 < sum(text[0].isupper() for text in texts) / 2000 < 0.55
