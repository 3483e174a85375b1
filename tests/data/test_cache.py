"""The cache folder: all or nothing, whoever comes first."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pyro_vrnn.data import cache
from pyro_vrnn.data.cache import cache_folder, cached

from .files import Refused


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYRO_VRNN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def build(folder: Path) -> dict[str, object]:
    (folder / "part").mkdir()
    (folder / "part" / "a.txt").write_text("content")
    return {"made": "by a test"}


def fail(folder: Path) -> dict[str, object]:
    (folder / "half").write_text("half")
    raise RuntimeError("no more power")


def test_what_is_complete_is_not_built_again(root: Path) -> None:
    folder = cached("set", build)
    assert folder == root / "set"
    assert (folder / "part" / "a.txt").read_text() == "content"
    assert cached("set", fail) == folder
    assert os.listdir(root) == ["set"]


def test_a_failure_leaves_nothing(root: Path) -> None:
    with pytest.raises(RuntimeError, match="no more power"):
        cached("set", fail)
    assert os.listdir(root) == []


def test_a_damaged_folder_is_left_alone_and_replaced(root: Path) -> None:
    damaged = cached("set", build)
    (damaged / "part" / "a.txt").write_text("cut")
    again = cached("set", build)
    assert again == root / "set.1"
    assert (damaged / "part" / "a.txt").read_text() == "cut"
    assert cached("set", fail) == again


def test_the_second_of_two_takes_the_first_one_s_folder(root: Path) -> None:
    def overtaken(folder: Path) -> dict[str, object]:
        cached("set", build)
        (folder / "other").write_text("other")
        return {}

    assert cached("set", overtaken) == root / "set"
    assert not (root / "set" / "other").exists()
    assert os.listdir(root) == ["set"]


def test_processes_at_once_agree(root: Path) -> None:
    program = (
        "import pathlib, time\n"
        "from pyro_vrnn.data.cache import cached\n"
        "def build(folder):\n"
        "    for i in range(20):\n"
        "        (folder / str(i)).write_text(str(i)); time.sleep(0.005)\n"
        "    return {}\n"
        "folder = cached('set', build)\n"
        "assert sorted(int(p.name) for p in folder.iterdir() if p.suffix == '') == list(range(20))\n"
        "print(folder)"
    )
    started = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert {process.communicate(timeout=30)[0].strip() for process in started} == {str(root / "set")}
    assert os.listdir(root) == ["set"]


def test_what_dead_processes_left_is_removed(root: Path) -> None:
    for name, age in (("old", 2 * cache.ABANDONED), ("new", 0.0)):
        left = root / f".set-{name}"
        left.mkdir(parents=True)
        os.utime(left, (time.time() - age,) * 2)
    cached("set", build)
    assert sorted(os.listdir(root)) == [".set-new", "set"]


def test_a_cache_that_cannot_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    (tmp_path / "file").write_text("a file where a folder should be")
    monkeypatch.setenv("PYRO_VRNN_CACHE", str(tmp_path / "file" / "cache"))
    with refused(str(tmp_path / "file" / "cache"), "cannot be written", "PYRO_VRNN_CACHE"):
        cached("set", build)


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.delenv("PYRO_VRNN_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == Path("/home/someone/.cache/pyro_vrnn")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert cache_folder() == Path("/caches/pyro_vrnn")
    monkeypatch.setenv("PYRO_VRNN_CACHE", "~/here")
    assert cache_folder() == Path("/home/someone/here")
