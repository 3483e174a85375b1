"""Trials of a search: the choice, and the table."""

import csv
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pyro_vrnn.comparison.formats import latex, markdown
from pyro_vrnn.comparison.trials import Trial, choose, comma_separated, scored, sheet
from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.tracking import RunRecord


def _trial(variant: str, rate: str, score: float | None, kind: str = "exact") -> Trial:
    failure = "diverged" if score is None else None
    return Trial({"variant": variant}, {"rate": rate}, "id", score, kind if score is not None else "", failure)


def _run(metrics: dict[str, float], dither: bool = False) -> RunRecord:
    about = ("id", "name", "experiment", "1", "FINISHED", datetime.now(UTC))
    return RunRecord(*about, {"data.dither": str(dither)}, metrics, {}, "uri")


TRIALS = [
    *(_trial("a", "1", 1.0), _trial("a", "2", 3.0), _trial("a", "3", None), _trial("a", "4", 3.0)),
    *(_trial("b", "1", -5.0, "bound"), _trial("b", "2", -6.0, "bound")),
    *(_trial("c", "1", None), _trial("c", "2", None)),
]


def test_the_best_of_each_group_is_chosen_the_first_of_equal_ones_and_none_where_all_failed():
    found = choose(TRIALS)
    assert [(trial.group["variant"], trial.values["rate"]) for trial in found if trial.chosen] == [
        ("a", "2"),
        ("b", "1"),
    ]
    assert [replace(trial, chosen=False) for trial in found] == TRIALS


def test_scores_of_different_kinds_are_not_chosen_from():
    with pytest.raises(ConfigurationError, match="different kinds"):
        choose([_trial("a", "1", 1.0), _trial("a", "2", 0.5, "bound")])


@pytest.mark.parametrize(
    ("metrics", "dither", "score", "kind"),
    [
        ({"validation/exact": 1.0, "validation/best": 2.0, "test/exact": 9.0}, False, 2.0, "exact"),
        ({"validation/exact": 1.0, "validation/best": 2.0}, True, 2.0, "bound"),
        ({"validation/elbo_per_frame": 1.0, "validation/elbo": 1.0, "validation/best": 1.5}, False, 1.5, "bound"),
        ({"validation/iwae_5": 1.0, "validation/best": 1.5}, False, 1.5, "consistent"),
        ({"validation/elbo": 1.0, "validation/best": float("-inf")}, False, None, ""),
        ({"test/elbo": 1.0}, False, None, ""),
    ],
)
def test_a_score_is_the_best_on_validation_with_its_kind(metrics, dither, score, kind):
    found = scored(Trial({"variant": "a"}, {"rate": "1"}), _run(metrics, dither))
    assert (found.score, found.kind, found.run) == (score, kind, "id")
    assert (found.failure is None) is (score is not None)


def test_all_trials_stand_in_the_table_and_the_chosen_ones_are_set_off():
    found = choose(TRIALS)
    page = sheet(found, ["trials have training.seed=100"])
    text = markdown([page])
    assert "| a | 2 | = **3.0** |" in text
    assert "| a | 4 | = 3.0 |" in text
    assert "| b | 1 | ≥ **-5.0** |" in text
    assert "| c | 1 | failed: diverged |" in text
    assert text.count("\n| ") == len(TRIALS) + 2
    assert "trials have training.seed=100" in text
    assert r"$= \mathbf{3.0}$" in latex([page])


def test_the_file_has_every_trial_at_full_precision():
    rows = list(csv.DictReader(comma_separated(choose([_trial("a", "1", 1 / 3), *TRIALS[2:]])).splitlines()))
    assert [row["chosen"] for row in rows] == ["False", "False", "True", "True", "False", "False", "False"]
    assert float(rows[0]["validation"]) == 1 / 3
    assert (rows[1]["validation"], rows[1]["failure"]) == ("", "diverged")
