import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyro_vrnn.ablation.grid import Axis, Cell, axis, combinations, expand, label, name_of_grid
from pyro_vrnn.ablation.grid import settings as as_settings
from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.training.config import Config, read
from pyro_vrnn.training.identity import identity

from ..commands.conftest import SMALL

BASE = {"data": {"source": "linear-gaussian"}}


def _configure(more: tuple[str, ...]) -> Config:
    return read(None, BASE, (*SMALL[1::2], *more))


words = st.text("abcdefgh", min_size=1, max_size=4)
axes_ = st.lists(
    st.tuples(words, st.lists(words, min_size=1, max_size=4, unique=True)), max_size=4, unique_by=lambda pair: pair[0]
)


@given(axes_)
@settings(max_examples=50)
def test_combinations_are_all_and_each_is_there_once(found):
    axes = [Axis(name, f"model.{name}", tuple(values)) for name, values in found]
    made = combinations(axes)
    expected = list(itertools.product(*(each.values for each in axes)))
    assert [tuple(each.values()) for each in made] == expected
    assert all(list(each) == [axis.name for axis in axes] for each in made)
    for each in made:
        assert as_settings(axes, each) == tuple(f"model.{name}={each[name]}" for name, _ in found)


def test_an_axis_is_found_by_its_name_or_by_its_place():
    assert axis("guide", "filtering, smoothing") == Axis("guide", "model.guide", ("filtering", "smoothing"))
    assert axis("training.learning_rate", "1e-3").name == "learning_rate"
    # Two rooms know particles, and a tag of that name would not say whose.
    assert axis("training.particles", "1,5") == Axis("training.particles", "training.particles", ("1", "5"))


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("colour", "red", "no value of the configuration"),
        ("tracking.name", "a", "no value of the configuration"),
        ("particles", "1,2", "could be training.particles or evaluation.particles"),
        ("guide", "filtering,,smoothing", "an empty value"),
        ("seed", "0,1,0", "0 is there twice"),
    ],
)
def test_an_axis_that_makes_no_sense_is_refused(name, text, why):
    with pytest.raises(ConfigurationError, match=why):
        axis(name, text)


def test_cells_are_explicit_configurations_and_what_makes_no_sense_has_its_reason():
    axes = [axis("variant", "rnn-gauss,vrnn-gauss"), axis("guide", "filtering,smoothing"), axis("seed", "0,1")]
    cells, refused = expand(axes, _configure)
    assert [cell.label for cell in cells] == [
        *("vrnn-gauss-filtering-s0", "vrnn-gauss-filtering-s1"),
        *("vrnn-gauss-smoothing-s0", "vrnn-gauss-smoothing-s1"),
    ]
    assert {cell.config.model.prior for cell in cells} == {"conditional"}
    assert len(refused) == 4
    assert all("rnn-gauss has no latents" in each.reason for each in refused)


def test_what_no_model_can_be_built_of_is_refused_before_anything_runs():
    cells, refused = expand([axis("recurrence", "lstm,linear"), axis("layers", "2")], _configure)
    assert [cell.values["recurrence"] for cell in cells] == ["lstm"]
    assert "a stack of linear layers is one" in refused[0].reason


@pytest.mark.parametrize(
    "axes", [[axis("variant", "vrnn,vrnn-gauss")], [axis("variant", "vrnn-gauss"), axis("z", "2,02")]]
)
def test_the_same_configuration_twice_is_refused(axes):
    if axes[-1].name == "z":
        axes = [axes[0], Axis("z", "model.z", ("2", "2 "))]
    with pytest.raises(ConfigurationError, match="the same configuration"):
        expand(axes, _configure)


def test_an_axis_given_twice_is_refused():
    with pytest.raises(ConfigurationError, match="such an axis already"):
        combinations([axis("seed", "0"), axis("seed", "1")])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"seed": "3", "guide": "smoothing", "variant": "vrnn"}, "vrnn-smoothing-s3"),
        ({"learning_rate": "1e-3", "seed": "0"}, "learning_rate=1e-3-s0"),
        ({"data.source": "/data/digits/", "seed": "1"}, "digits-s1"),
    ],
)
def test_labels(values, said):
    assert label(values) == said == Cell(values, Config()).label


def test_a_grid_keeps_its_name_when_values_are_added_and_only_then():
    few = [axis("variant", "rnn-gauss"), axis("seed", "0")]
    more = [axis("variant", "rnn-gauss,vrnn-gauss"), axis("seed", "0,1,2")]
    name = name_of_grid(few, _configure(()), ["abc"])
    assert name == name_of_grid(more, _configure(()), ["abc"])
    assert name == name_of_grid(few, _configure(("training.device=cpu", "training.seed=7")), ["abc"])
    assert name != name_of_grid(few, _configure(()), ["abd"])
    assert name != name_of_grid(few, _configure(("training.clip=1.0",)), ["abc"])
    assert name != name_of_grid([*few, axis("z", "2")], _configure(()), ["abc"])


def test_cells_of_a_grid_have_different_identities():
    cells, _ = expand([axis("variant", "rnn-gauss,vrnn-gauss"), axis("clip", "1,2"), axis("seed", "0,1")], _configure)
    assert len({identity(cell.config, "abc") for cell in cells}) == 8


def test_a_cell_is_what_fit_makes_of_the_same_words():
    """Matched once for all cells that share a model, and yet each is its own configuration, made explicit."""

    def configure(more: tuple[str, ...]) -> Config:
        return read(None, {**BASE, "model": {"widths": "matched"}}, more)

    axes = [axis("variant", "rnn-gauss,vrnn-gauss"), axis("learning_rate", "1e-3,1e-4"), axis("seed", "0,1")]
    cells, _ = expand(axes, configure)
    for cell in cells[::3]:
        config = configure(as_settings(axes, cell.values))
        assert cell.config == config.explicit(config.data.frame)
