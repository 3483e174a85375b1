import posixpath
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyro_vrnn.errors import TrackingError
from pyro_vrnn.tracking.names import NAME_LENGTH, Names, clean, cut


@settings(deadline=None)
@given(st.text() | st.text(alphabet="a/. _≥", max_size=12))
def test_clean_names_are_ones_mlflow_takes(name: str) -> None:
    cleaned = clean(name)
    assert re.fullmatch(r"[A-Za-z0-9_\-.:/ ]+", cleaned)
    assert posixpath.normpath(cleaned) == cleaned
    assert not cleaned.startswith(("/", ".."))
    assert len(cleaned) <= NAME_LENGTH
    assert clean(cleaned) == cleaned


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train/elbo per frame", "train/elbo per frame"),
        ("elbo ≥", "elbo _"),
        ("≈≈K", "_K"),
        ("../a//./b/", "a/b"),
        ("", "_"),
        ("σ²", "_"),
    ],
)
def test_the_rule(name: str, expected: str) -> None:
    assert clean(name) == expected


def test_two_names_never_become_one() -> None:
    names = Names("metric")
    assert [names["elbo≥"], names["elbo≥"], names["loss"]] == ["elbo_", "elbo_", "loss"]
    with pytest.raises(TrackingError, match="'elbo≥' and 'elbo≈' would both be stored as 'elbo_'"):
        names["elbo≈"]


def test_cut() -> None:
    assert [cut("abcdef", 6), cut("abcdefg", 6)] == ["abcdef", "abcde…"]
