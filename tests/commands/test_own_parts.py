"""Parts of one's own from the command line: the page's commands, and whose code is run."""

import re
import shlex
from pathlib import Path

import pytest
import torch

import pyro_vrnn
from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.inference.generation import generate
from pyro_vrnn.model import own
from pyro_vrnn.tracking import PARENT, fetch, find_run, find_runs
from pyro_vrnn.training.saving import load_model

from .conftest import SMALL, record, shell

URI = "sqlite:///mlruns/mlflow.db"
NAME = "my_parts:LookaheadGuide"
QUICK = ["--max-steps", "2", "--set", "evaluation.particles=2", "--set", "evaluation.repetitions=1"]
FIT = ["fit", "--data", "tones", *SMALL, *QUICK, "--name", "mine"]


@pytest.fixture
def untrusted(own_parts, command, monkeypatch, tmp_path):
    """A trained model with a guide of one's own, in a process that trusts nobody."""
    own_parts()
    record(tmp_path / "tones", 20)
    ended = command(*FIT, "--guide", NAME)
    assert ended.status == 0, ended.err
    assert "code of your own: my_parts" in ended.out
    monkeypatch.setenv(own.TRUST, "")


@pytest.mark.slow  # processes of a grid
def test_the_page_does_what_it_says(own_parts, command, tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "own-parts.md").read_text()
    lines = [line for block in re.findall(r"```bash\n(.*?)```", page, re.DOTALL) for line in block.splitlines()]
    words = [shlex.split(line)[2:] for line in lines]
    assert [each[0] for each in words] == ["fit", "evaluate", "ablate", "compare"]
    own_parts()
    record(tmp_path / "tones", 20)
    quick = ["--data", "tones", *SMALL, *QUICK]  # the later of two options wins
    small = {"fit": quick, "evaluate": ["--particles", "2"], "ablate": [*quick, "--seeds", "0"], "compare": []}
    outputs = []
    for each in words:
        ended = command(*each, *small[each[0]])
        assert ended.status == 0, (each, ended.out, ended.err)
        outputs.append(ended.out)
    for estimator in ("elbo", "importance", "filter"):
        assert estimator in outputs[1].lower()
    assert "2 of 2 cells are finished" in outputs[2]
    assert NAME in outputs[3]
    grid = find_run("guides", uri=URI)
    cells = find_runs(grid.experiment, uri=URI, tags={PARENT: grid.id})
    assert {run.tags["guide"] for run in cells} == {"filtering", NAME}


@pytest.mark.slow  # processes of a grid
@pytest.mark.parametrize(
    ("launcher", "package", "settings"),
    [("ray", "ray", ["cores=1"]), ("slurm", "submitit", ["cluster=local", "timeout_min=5"])],
)
def test_a_grid_on_several_machines_trains_what_one_does(own_parts, command, tmp_path, launcher, package, settings):
    pytest.importorskip(package, reason=f"the extra `{launcher}` is not installed")
    own_parts()
    data = ["--data", "linear-gaussian", *SMALL, *QUICK]
    words = ["ablate", "--variants", "vrnn-gauss", "--grid", f"guide=filtering,{NAME}", "--seeds", "0", "--name", "far"]
    words += ["--jobs", "2", "--launcher", launcher, *(word for each in settings for word in ("--launcher-set", each))]
    out, err = shell(tmp_path, *words, *data, seconds=500).communicate()
    assert "2 of 2 cells are finished" in out, out + err
    grid = find_run("far", uri=URI)
    cells = {run.tags["guide"]: run for run in find_runs(grid.experiment, uri=URI, tags={PARENT: grid.id})}
    assert cells.keys() == {"filtering", NAME}
    ended = command("fit", "--widths", "matched", "--guide", NAME, "--name", "near", *data)
    assert ended.status == 0, ended.err
    near = find_run("near", uri=URI)
    assert near.tags["configuration"] == cells[NAME].tags["configuration"]
    assert near.metrics["test/elbo"] == pytest.approx(cells[NAME].metrics["test/elbo"], rel=1e-5)


def test_a_stored_run_is_loaded_by_who_trusts_it(untrusted, command, own_parts, monkeypatch):
    folder = fetch(find_run("mine", uri=URI).id, "model", uri=URI)
    assert (folder / "sources" / "my_parts.py").read_text() == Path("my_parts.py").read_text()
    commands = [
        ["evaluate", "mine", "--particles", "2", "--repetitions", "1"],
        ["score", "mine", "tones", "--out", "s.csv", "--particles", "2"],
        ["encode", "mine", "tones", "--out", "e.npz"],
        ["generate", "mine", "--count", "1", "--frames", "3", "--out", "made"],
        ["export", "mine", "--out", "exported"],
        ["fit", "--resume", "mine", "--max-steps", "3"],
    ]
    for words in commands:
        monkeypatch.setenv(own.TRUST, "")
        refused = command(*words)
        assert (refused.status, refused.err.count("\n")) == (2, 1), words
        assert "module my_parts (SHA-256 " in refused.err
        assert "--trust my_parts" in refused.err
        ended = command(*words, "--trust", "my_parts")
        assert ended.status == 0, (words, ended.err)
    assert Path("exported/sources/my_parts.py").read_text() == Path("my_parts.py").read_text()
    monkeypatch.setenv(own.TRUST, "")
    with pytest.raises(ConfigurationError, match="not trusted"):
        pyro_vrnn.load("mine")
    with pytest.raises(ConfigurationError, match="not trusted"):
        load_model(folder)
    net = pyro_vrnn.load("mine", trust=["my_parts"]).net
    assert type(net.guide).__name__ == "LookaheadGuide"
    assert [piece.x.shape for piece in generate(net, 3, 2)] == [torch.Size([2, 3, net.dims.x])]


def test_what_a_configuration_names_is_not_trusted_and_what_is_typed_is(untrusted, command, monkeypatch):
    stored = fetch(find_run("mine", uri=URI).id, "config.toml", uri=URI)
    words = ["fit", "--config", stored, "--name", "again"]
    refused = command(*words)
    assert refused.status == 2
    assert "--trust my_parts" in refused.err
    assert command(*words, "--guide", NAME).status == 0
    monkeypatch.setenv(own.TRUST, "")
    assert command(*words, "--set", f'model.guide="{NAME}"', "--program", "markov", "--widths", "matched").status == 0


def test_changed_code_is_refused(untrusted, command, own_parts):
    own_parts(Path("my_parts.py").read_text() + "# changed\n")
    refused = command("evaluate", "mine", "--trust", "my_parts")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "has changed" in refused.err
    advice = refused.err.split("--trust ")[1].strip()
    assert command("evaluate", "mine", "--trust", advice, "--particles", "2").status == 0


def test_a_grid_of_what_cannot_be_built_is_refused_before_it_begins(own_parts, command, tmp_path):
    own_parts()
    ended = command("ablate", "--grid", "guide=filtering,my_parts:Nothing", "--data", "linear-gaussian", *SMALL)
    assert ended.status == 2
    assert "has no Nothing" in ended.err
    assert not (tmp_path / "mlruns").exists()
