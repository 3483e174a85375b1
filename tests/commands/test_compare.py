"""``compare`` on a store of hand-made runs."""

import json
import re

import pytest

from pyro_vrnn.commands.tables import sequence_table, write_table
from pyro_vrnn.tracking import TrackedRun
from pyro_vrnn.training.config import read

from ..comparison.conftest import make

URI = "sqlite:///mlruns/mlflow.db"


def _keep(variant: str, seed: int, nats: dict, *, status: str = "FINISHED", experiment: str = "e", **others) -> None:
    """A run as ``fit`` leaves it."""
    scored = make(variant, seed, nats, **others)
    with TrackedRun.start(
        uri=URI, experiment=experiment, name=f"{variant}-{seed}", parameters={}, tags={"variant": variant}
    ) as run:
        if status == "FINISHED":
            files = {
                "config.toml": scored.config.kept().toml(),
                "results.json": json.dumps(scored.results),
            }
            for name, text in files.items():
                (run.folder / name).write_text(text)
                run.artifact(run.folder / name)
            estimates = [
                type(
                    "E",
                    (),
                    {"name": name, "nats": values, "frames": [10] * len(values), "monte_carlo": None, "details": {}},
                )
                for name, values in scored.nats.items()
            ]
            write_table(
                run.folder / "results.sequences.csv",
                sequence_table(estimates, scored.sequences, None, [1.0] * len(scored.sequences)),
            )
            run.artifact(run.folder / "results.sequences.csv")
        else:
            run.finish(status)


@pytest.fixture
def store(command):
    """Two models with two seeds each on one data set, one of them on another, and a run that has failed."""
    for seed in (0, 1):
        _keep("rnn-gauss", seed, {"exact": [1.0, 2.0, 3.5, 5.0, 7.0]})
        _keep("vrnn-gauss", seed, {"elbo": [2.0 + seed, 3.5, 4.5, 7.0, 9.0], "iwae_40": [3.0, 4.0, 5.0, 8.0, 10.0]})
    _keep("rnn-gauss", 0, {"exact": [9.0, 9.0, 9.0]}, checksum="b" * 64, name="other")
    with TrackedRun.start(uri=URI, experiment="e", name="broken", parameters={}, tags={}) as run:
        run.finish("FAILED", "why")
    return command


def test_what_compare_prints(store, tmp_path):
    ended = store("compare", "--experiment", "e", "--format", "markdown")
    assert ended.status == 0, ended.err
    assert ended.out.count("**folder: 5 test sequences, checksum aaaaaaaaaaaa; nats / sequence**") == 1
    assert ended.out.count("**other: 3 test sequences, checksum bbbbbbbbbbbb; nats / sequence**") == 1
    assert "| rnn-gauss | 1,234 | 2 | = 3.7 |" in ended.out
    assert re.search(r"\| vrnn-gauss \| 1,234 \| 2 \| +\| ≥ 5\.3 ± 0\.1 \| ≈₄₀ 6\.0 \|", ended.out)
    assert "1 runs are not finished and left out: broken (FAILED)" in ended.out

    paper = store("compare", "--experiment", "e", "--layout", "paper")
    assert re.search(r"vrnn-gauss +≥ 5\.3\*? ± 0\.1  ≈₄₀ 6\.0", paper.out)
    assert re.search(r"rnn-gauss +\S* *= 3\.7 .*= 9\.0", paper.out)

    for name, begin in (("t.md", "**"), ("t.tex", "% needs"), ("t.csv", "data,"), ("t.txt", "folder")):
        written = store("compare", "--experiment", "e", "--out", name)
        assert written.status == 0, written.err
        assert written.out == ""
        assert (tmp_path / name).read_text().lstrip().startswith(begin)


def test_what_compare_refuses(store):
    for words, why in (
        (["--experiment", "none"], "no experiment 'none'"),
        (["broken"], "keeps no results"),
        (["nothing"], "no run 'nothing'"),
        (["--parent", "broken"], "nothing to compare"),
        (["--experiment", "e", "--parent", "broken"], "both say which runs"),
        (["--experiment", "e", "--out", "."], "--out .: a folder; expected the name of a file"),
        (["--experiment", "e", "--out", "none/t.md"], "does not exist; make it first"),
    ):
        ended = store("compare", *words)
        assert (ended.status, ended.err.count("\n")) == (2, 1), ended.err
        assert why in ended.err


def test_a_run_that_was_repeated_counts_once(store):
    _keep("rnn-gauss", 0, {"exact": [2.0, 3.0, 4.5, 6.0, 8.0]})
    ended = store("compare", "--experiment", "e", "--format", "markdown")
    assert "| rnn-gauss | 1,234 | 2 | = 4.2 ± 0.5 |" in ended.out
    assert "the newest counts" in ended.out


def test_a_configuration_reads_back_as_it_was_kept():
    config = make("vrnn-gauss", 3, {"elbo": [1.0]}).config
    assert read(None, {}, ()).training.seed == 0
    assert config.kept().toml() == config.toml()
