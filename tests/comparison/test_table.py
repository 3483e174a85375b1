import math

import numpy as np
import pytest

from pyro_vrnn.comparison.runs import Scored
from pyro_vrnn.comparison.table import Block, Row, blocks, labels
from pyro_vrnn.inference.results import Kind


def _row(block: Block, label: str) -> Row:
    return next(row for row in block.rows if row.label == label)


def _noise(seed: int, mean: float, spread: float = 1.0) -> np.ndarray:
    return mean + spread * np.random.default_rng(seed).normal(size=20)


def test_rows_are_configurations_and_cells_means_over_seeds_with_their_standard_error(made):
    runs = [made("vrnn-gauss", seed, {"elbo": [value] * 4}) for seed, value in ((0, 10.0), (1, 12.0), (2, 17.0))]
    (block,) = blocks([*runs, made("rnn-gauss", 0, {"exact": [3.0] * 4})], "nats")
    assert [row.label for row in block.rows] == ["rnn-gauss", "vrnn-gauss", "iid_gaussian"]
    assert [column.names for column in block.columns] == [("exact",), ("elbo",)]
    exact, bound = _row(block, "rnn-gauss").cells[0], _row(block, "vrnn-gauss").cells[1]
    assert (exact.kind, exact.mean) == (Kind.EXACT, (3.0, None, 1))
    assert bound.kind is Kind.BOUND
    assert bound.mean.value == pytest.approx(13.0)
    assert bound.mean.error == pytest.approx(math.sqrt((9 + 1 + 16) / 2 / 3))
    assert _row(block, "rnn-gauss").cells[1] is None
    assert _row(block, "iid_gaussian").reference


def test_the_bound_with_a_sampled_kl_has_no_column_beside_the_bound(made):
    nats = {f"{carried}elbo{sampled}": [1.0] for carried in ("", "carried/2/") for sampled in ("", "_sampled")}
    (block,) = blocks([made("vrnn-gauss", 0, nats)], "nats")
    assert [column.names for column in block.columns] == [("elbo",), ("carried/2/elbo",)]
    alone = {name: nats[name] for name in ("elbo", "carried/2/elbo_sampled")}
    (block,) = blocks([made("vrnn-gauss", 0, alone)], "nats")
    assert [column.names for column in block.columns] == [("elbo",), ("carried/2/elbo_sampled",)]


@pytest.mark.parametrize(
    ("settings", "others"),
    [
        ((), {"checksum": "b" * 64}),
        (("data.dither=true",), {}),
        (("data.segment=0.5",), {}),
        (("data.test=0.1",), {}),
        ((), {"lsb": None}),
        ((), {"frame": 8}),
    ],
)
def test_other_data_and_other_scales_never_share_a_column(made, settings, others):
    one = made("vrnn-gauss", 0, {"elbo": [1.0, 2.0]})
    other = made("vrnn-gauss", 0, {"elbo": [3.0, 4.0]}, settings=settings, **others)
    found = blocks([one, other], "nats")
    assert len(found) == 2
    assert all(len([row for row in block.rows if not row.reference]) == 1 for block in found)
    if settings:
        assert found[0].title != found[1].title


def test_the_same_data_at_another_path_are_the_same(made):
    one, other = made("vrnn-gauss", 0, {"elbo": [1.0, 2.0]}), made("rnn-gauss", 0, {"exact": [1.0, 2.0]}, name="moved")
    assert len(blocks([one, other], "nats")) == 1


def test_nats_of_two_standardisations_are_brought_to_one_and_that_is_said(made):
    """A random split gives each seed its own: twice the std is N log 2 nats more for the same density of amplitudes."""
    one = made("vrnn-gauss", 0, {"elbo": [7.0] * 3}, std=0.5)
    other = made("vrnn-gauss", 1, {"elbo": [7.0 + 40 * math.log(2)] * 3}, std=1.0)
    (block,) = blocks([one, other], "nats")
    cell = _row(block, "vrnn-gauss").cells[0]
    assert cell.mean.value == pytest.approx(7.0)
    assert cell.mean.error == pytest.approx(0.0, abs=1e-9)
    assert "standardisation" in block.remarks[0]
    for units, expected in (("nats-per-frame", 0.7), ("nats-per-dimension", 7 / 40)):
        (block,) = blocks([one, other], units)
        assert _row(block, "vrnn-gauss").cells[0].mean.value == pytest.approx(expected)
    (block,) = blocks([one, other], "bits")
    assert _row(block, "vrnn-gauss").cells[0].mean.error == pytest.approx(0.0, abs=1e-9)
    assert not block.remarks


def test_a_standardisation_of_each_dimension(made):
    one = made("vrnn-gauss", 0, {"elbo": [7.0] * 3}, std=[2.0, 2.0, 1.0], frame=3, lsb=None)
    other = made("vrnn-gauss", 1, {"elbo": [7.0] * 3}, std=[4.0, 4.0, 1.0], frame=3, lsb=None)
    (block,) = blocks([one, other], "nats")
    assert _row(block, "vrnn-gauss").cells[0].mean.value == pytest.approx(7.0 - 10 * math.log(2))


def test_the_best_is_set_off_only_where_it_is_ahead_of_every_other(made):
    base = _noise(0, 0.0, 100.0)  # sequences differ more than models do
    far = made("vrnn-i", 0, {"elbo": base + _noise(1, -30.0)})
    near = made("vrnn-gauss", 0, {"elbo": base + _noise(2, 0.0)})
    top = made("vrnn-gmm", 0, {"elbo": base + _noise(3, 5.0)})
    (block,) = blocks([far, near, top], "nats")
    assert [row.cells[0].best for row in block.rows[:3]] == [False, False, True]
    assert _row(block, "vrnn-gauss").cells[0].behind.difference == pytest.approx(5.0, abs=1.5)
    assert _row(block, "vrnn-gmm").cells[0].behind is None
    equal = made("vrnn-gmm", 0, {"elbo": base + _noise(4, 0.1)})
    (block,) = blocks([far, near, equal], "nats")
    assert not any(row.cells[0].best for row in block.rows)


def test_less_is_better_in_bits(made):
    a, b = made("vrnn-i", 0, {"elbo": _noise(1, 0.0)}), made("vrnn-gauss", 0, {"elbo": _noise(1, 9.0)})
    (block,) = blocks([a, b], "bits")
    best = _row(block, "vrnn-gauss").cells[0]
    assert best.best
    assert best.mean.value < _row(block, "vrnn-i").cells[0].mean.value


@pytest.mark.parametrize(
    ("gains", "best"), [((9.0, 9.0, -1.0), False), ((9.0, 8.0, 7.0), True), ((9.0, 1.0, 1.0), False)]
)
def test_seeds_that_do_not_agree_make_no_best(made, gains, best):
    runs = [made("vrnn-i", seed, {"elbo": _noise(seed, 0.0)}) for seed in range(3)]
    runs += [made("vrnn-gauss", seed, {"elbo": _noise(seed, gain)}) for seed, gain in enumerate(gains)]
    (block,) = blocks(runs, "nats")
    assert _row(block, "vrnn-i").cells[0].behind.significant
    assert _row(block, "vrnn-gauss").cells[0].best == best


def test_rows_without_a_common_seed_are_not_compared_and_that_is_said(made):
    (block,) = blocks(
        [made("vrnn-i", 0, {"elbo": _noise(1, 0)}), made("vrnn-gauss", 1, {"elbo": _noise(1, 9)})], "nats"
    )
    assert not any(row.cells[0].best for row in block.rows)
    assert "not compared" in block.remarks[-1]


def test_sequences_are_paired_by_their_names(made):
    names = [f"{i}.wav" for i in range(20)]
    nats = _noise(0, 0.0, 100.0)
    one = made("vrnn-i", 0, {"elbo": nats}, names=names)
    other = made("vrnn-gauss", 0, {"elbo": (nats + 1.0)[::-1]}, names=names[::-1])
    (block,) = blocks([one, other], "nats")
    assert _row(block, "vrnn-i").cells[0].behind.low == pytest.approx(1.0)


def test_only_sequences_that_both_have_are_compared(made):
    nats = _noise(0, 0.0, 100.0)
    one = made("vrnn-i", 0, {"elbo": nats[5:]}, names=[f"{i}.wav" for i in range(5, 20)])
    other = made("vrnn-gauss", 0, {"elbo": nats[:15] + 1.0}, names=[f"{i}.wav" for i in range(15)])
    (block,) = blocks([one, other], "nats")
    (behind,) = [row.cells[0].behind for row in block.rows[:2] if row.cells[0].behind]
    assert behind.sequences == 10
    assert abs(behind.difference) == pytest.approx(1.0)


def test_the_papers_layout_and_what_it_cannot_say(made):
    """An exact number above a bound is not better than what the bound is of; a bound above an exact number is."""
    particles = {"iwae_40": _noise(1, 1.0), "smc_40": _noise(1, 2.0), "stepwise_40": _noise(1, 3.0)}
    rnn, vrnn = (
        made("rnn-gauss", 0, {"exact": _noise(1, 9.0)}),
        made("vrnn-i", 0, {"elbo": _noise(1, 0.0), **particles}),
    )
    (block,) = blocks([rnn, vrnn], "nats", layout="paper")
    assert [column.names for column in block.columns] == [("exact", "elbo"), ("iwae_40",), ("stepwise_40",)]
    assert not any(cell.best for row in block.rows for cell in row.cells if cell)
    (block,) = blocks([made("rnn-gauss", 0, {"exact": _noise(1, -9.0)}), vrnn], "nats", layout="paper")
    assert _row(block, "vrnn-i").cells[0].best


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ([(), ()], ["vrnn-gauss", "rnn-gauss"]),
        ([("model.guide=smoothing",), ()], ["vrnn-gauss, smoothing", "rnn-gauss"]),
        ([("model.guide=filtering",), ()], ["vrnn-gauss", "rnn-gauss"]),
        ([("training.clip=1.0",), ("training.clip=2.0",)], ["vrnn-gauss, clip 1.0", "rnn-gauss, clip 2.0"]),
    ],
)
def test_rows_are_called_by_what_separates_them(made, settings, expected):
    runs: list[Scored] = [
        made("vrnn-gauss", 0, {"elbo": [1.0, 2.0]}, settings=settings[0]),
        made("rnn-gauss", 0, {"exact": [1.0, 2.0]}, settings=settings[1]),
    ]
    assert labels(runs) == expected


def test_sizes_are_named_where_nothing_else_separates_rows(made):
    runs = [made("vrnn-gauss", 0, {"elbo": [1.0]}, settings=[f"model.h={h}"]) for h in (8, 16)]
    assert labels(runs) == ["vrnn-gauss, h 8", "vrnn-gauss, h 16"]


def test_a_size_that_is_swept_names_each_row(made):
    runs = [made("vrnn-gauss", 0, {"elbo": [1.0]}, settings=[f"model.z={z}", "model.h=8"]) for z in (2, 4, 8)]
    assert labels(runs) == ["vrnn-gauss, z 2", "vrnn-gauss, z 4", "vrnn-gauss, z 8"]
