"""Hands: what is written when nothing trembles is known exactly; what a hand always does shows in its lines."""

import string
from math import radians, tan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyro_vrnn.data.hands import LATE, PRINT, SCRIPT, STEP, Hand, _letter, draw_hand, write_line

STEADY = Hand(
    scripted=frozenset(),
    size=1000.0,
    width=1.0,
    slant=0.0,
    ascent=1.0,
    descent=1.0,
    spacing=0.0,
    gap=1.0,
    reach=0.0,
    late=False,
    rounding=0.02,
    speed=0.1,
    exponent=0.0,
    tremor=1e-9,
    shake=0.5,
    climb=0.0,
    wander=0.0,
    sloppiness=0.0,
)
SCRIPTED = STEADY._replace(scripted=frozenset(string.ascii_letters), reach=0.5)


class Still(np.random.RandomState):
    """No noise: every normal number is 0."""

    def normal(self, *args, **kwargs):
        return 0.0

    def standard_normal(self, size=None):
        return np.zeros(size)


def strokes(rows: np.ndarray) -> list[np.ndarray]:
    """Points of each stroke, where the line begins at 0."""
    points = np.concatenate([[[0, 0]], np.cumsum(rows[:, :2].astype(int), axis=0)])
    return np.split(points, np.flatnonzero(rows[:, 2])[:-1] + 2)


def write(words: str, **changes) -> list[np.ndarray]:
    return strokes(write_line(words, STEADY._replace(**changes), Still(0)))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.text(string.ascii_letters, min_size=1, max_size=6), min_size=1))
def test_every_line_is_stroke_3(seed, words):
    random = np.random.RandomState(seed)
    hand = draw_hand(random)
    rows = write_line(" ".join(words), hand, random)
    assert rows.dtype == np.int16
    assert rows.shape[1:] == (3,)
    assert set(rows[:, 2].tolist()) <= {0, 1}
    assert rows[-1, 2] == 1
    # Every letter is there: it has a stroke, or its pen stayed down.
    assert len(rows) >= sum(map(len, words))
    assert all(len(stroke) >= 2 for stroke in strokes(rows))
    assert np.array_equal(rows, write_line(" ".join(words), hand, _after(seed)))


def _after(seed: int) -> np.random.RandomState:
    random = np.random.RandomState(seed)
    draw_hand(random)
    return random


def test_a_straight_stroke_has_the_height_of_the_alphabet():
    (stroke,) = write("l")
    assert stroke[-1].tolist() == [0, 1500]  # 21 of 14 units, downward
    assert not stroke[:, 0].any()


@pytest.mark.parametrize("degrees", [-15.0, 0.0, 25.0])
def test_slant_leans_to_the_right(degrees):
    (stroke,) = write("l", slant=degrees)
    assert stroke[-1, 0] == pytest.approx(-1500 * tan(radians(degrees)), abs=1)


@pytest.mark.parametrize(("letter", "change", "height"), [("l", {"ascent": 2.0}, 2000), ("p", {"descent": 2.0}, 2000)])
def test_ascenders_and_descenders_stretch_alone(letter, change, height):
    assert np.ptp(write(letter, **change)[0][:, 1]) == height
    body = [stroke for part in (write("o"), write("o", **change)) for stroke in part]
    assert np.array_equal(*body)


def test_points_are_evenly_timed_and_slow_at_the_ends():
    (stroke,) = write("l")
    steps = np.diff(stroke[:, 1])
    assert steps[len(steps) // 2] == pytest.approx(100, abs=3)  # 0.1 x-heights a point
    assert steps[0] < 0.6 * steps[len(steps) // 2]
    assert steps[-1] == pytest.approx(steps[0], abs=3)
    assert len(write("l", speed=0.05)[0]) == pytest.approx(2 * len(stroke), abs=2)


def test_bends_slow_the_pen():
    (plain,), (slowed,) = write("o"), write("o", exponent=0.4)
    assert len(slowed) > 1.2 * len(plain)
    assert len(write("l", exponent=0.4)[0]) == len(write("l")[0])


def test_words_go_along_the_line():
    first, second = (stroke[0] for stroke in write("l l"))
    advance = 2 * 4 / 14 + 1.0  # the width of an l, and the gap
    assert (second - first).tolist() == [pytest.approx(1000 * advance, abs=1), 0]
    wide = write("l l", width=2.0, gap=1.5)
    assert (wide[1][0] - wide[0][0])[0] == pytest.approx(1000 * (2 * 2 * 4 / 14 + 1.5), abs=1)


@pytest.mark.parametrize("climb", [-3.0, 3.0])
def test_lines_climb(climb):
    first, second = (stroke[0] for stroke in write("l l", climb=climb))
    along, up = second - first
    assert up == pytest.approx(-tan(radians(climb)) * along, abs=1)


def test_reach_joins_strokes_within_letters_and_between_them():
    assert [len(write(word)) for word in ("n", "a", "hello", "in")] == [2, 2, 6, 4]
    assert len(write("n", reach=0.8)) == 1
    assert len(strokes(write_line("a", SCRIPTED, Still(0)))) == 1
    joined = strokes(write_line("allele", SCRIPTED, Still(0)))
    assert len(joined) == 1
    apart = strokes(write_line("a lele", SCRIPTED, Still(0)))
    assert len(apart) == 2, "the pen is lifted between words"


def test_dots_and_bars_wait_for_the_end_of_the_word():
    at_once, late = write("ill ill"), write("ill ill", late=True)
    assert len(at_once) == len(late) == 8
    heights = [[np.ptp(stroke[:, 1]) for stroke in written] for written in (at_once, late)]
    dots = [[height < 300 for height in row] for row in heights]
    assert dots[0] == [False, True, False, False] * 2
    assert dots[1] == [False, False, False, True] * 2
    assert LATE.keys() == set("ijt")


@pytest.mark.parametrize("alphabet", [PRINT, SCRIPT])
def test_alphabets_are_upright_and_stand_on_the_line(alphabet):
    for letter in string.ascii_letters:
        strokes, width = _letter(alphabet, letter)
        assert width > 0
        assert all(len(stroke) > 1 for stroke in strokes)
        bottom = max(stroke[:, 1].max() for stroke in strokes)
        assert bottom == pytest.approx(0.0, abs=0.15) or bottom > 0.3, letter
    x_height = min(stroke[:, 1].min() for stroke in _letter(alphabet, "x").strokes)
    assert x_height == -1.0
    # The stem of a y in script: as far to the left at the top as at the bottom.
    stem = _letter(SCRIPT, "y").strokes[1][:2]
    assert stem[0, 0] == pytest.approx(stem[1, 0])


def test_rounding_takes_corners_off_and_leaves_ends():
    sharp, round_ = write("v", reach=0.1, rounding=STEP / 2)[0], write("v", reach=0.1, rounding=0.3)[0]
    assert sharp[0].tolist() == round_[0].tolist() == [0, 0]
    assert np.abs(sharp[-1] - round_[-1]).max() <= 1


def test_hands_differ_and_are_drawn_from_their_numbers_alone():
    hands = [draw_hand(np.random.RandomState([1, writer])) for writer in range(60)]
    assert len(set(hands)) == 60
    assert hands[3] == draw_hand(np.random.RandomState([1, 3]))
    scripted = np.array([len(hand.scripted) for hand in hands])
    assert (scripted == 52).sum() > 15
    assert (scripted == 0).sum() > 8
    assert ((scripted > 5) & (scripted < 47)).sum() > 3
