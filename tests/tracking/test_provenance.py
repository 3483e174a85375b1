import subprocess
from pathlib import Path

import pytest

from pyro_vrnn.tracking import provenance
from pyro_vrnn.tracking.provenance import _commit


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


def test_tags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["cli.py", "fit", "--tracking-uri", "http://me:secret@host"])
    tags = provenance()
    assert {"python", "platform", "pyro_vrnn", "torch", "pyro", "mlflow"} <= tags.keys()
    assert tags["command"] == "cli.py fit --tracking-uri http://***@host"
    assert all(isinstance(value, str) and value for value in tags.values())
    monkeypatch.setattr("sys.argv", ["-c", "fit", "--seed", "1"])  # a cell of a grid
    tags = provenance()
    assert (tags["command"], tags["mlflow.source.name"]) == ("pyro-vrnn fit --seed 1", "pyro-vrnn")


def test_the_commit_and_whether_it_tells_all(tmp_path: Path) -> None:
    assert _commit(tmp_path) == {}
    git(tmp_path, "init")
    assert _commit(tmp_path) == {}  # no commit yet
    (tmp_path / "file.py").write_text("1")
    git(tmp_path, "add", "file.py")
    git(tmp_path, "commit", "-m", "one")
    clean = _commit(tmp_path)
    assert len(clean["mlflow.source.git.commit"]) == 40
    assert clean["git.dirty"] == "false"
    assert _commit(tmp_path / "file.py") == clean
    (tmp_path / "installed.py").write_text("a package in a virtual environment in somebody's checkout")
    assert _commit(tmp_path / "installed.py") == {}
    (tmp_path / "file.py").write_text("2")
    assert _commit(tmp_path) == clean | {"git.dirty": "true"}


def test_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert _commit(Path(__file__)) == {}
