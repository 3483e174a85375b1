"""Preparing that is killed, repeated, or done again of another source."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pyro_vrnn.data import DataOptions
from pyro_vrnn.data.prepared import preparing, reading
from pyro_vrnn.data.prepared.manifest import HEADER, VALUES, is_prepared
from pyro_vrnn.data.prepared.preparing import prepare

from .corpora import write_iam
from .files import Refused, noise, write
from .prepared import LENGTHS, contents, made


def test_a_process_that_is_killed_loses_the_file_it_was_at(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after every number of files: what is there then is no corpus, and the next call goes on from there."""
    made(folder, "whole")
    program = (
        "import os, signal, sys; from pathlib import Path; from pyro_vrnn.data import DataOptions;"
        "from pyro_vrnn.data.prepared import preparing\n"
        "def told(what, done, total):\n"
        "    if what == 'reading' and done == int(sys.argv[3]): os.kill(os.getpid(), signal.SIGKILL)\n"
        "preparing.prepare('audio', DataOptions(source=sys.argv[1]), Path(sys.argv[2]), progress=told)"
    )
    asked: list[str] = []

    def counted(task: reading.Task) -> reading.Outcome:
        asked.append(task.file.name)
        return reading.read_file(task)

    monkeypatch.setattr(preparing, "read_file", counted)
    out = folder.parent / "killed"
    for after in (1, 9, 22):
        ended = subprocess.run([sys.executable, "-c", program, str(folder), str(out), str(after)], check=False)
        assert ended.returncode == -signal.SIGKILL
        assert not out.exists()
        assert not is_prepared(out)
    done = made(folder, "killed")
    assert (done.resumed, done.found, asked) == (22, False, [])
    assert contents(out) == contents(folder.parent / "whole")


def test_orphaned_processes_end(folder: Path) -> None:
    write(folder / "long.flac", noise(1 << 23))
    program = (
        "import sys; from pathlib import Path; from pyro_vrnn.data import DataOptions;"
        "from pyro_vrnn.data.prepared.preparing import prepare\n"
        "if __name__ == '__main__':\n"
        "    told = lambda *step: print(*step, flush=True)\n"
        "    prepare('audio', DataOptions(source=sys.argv[1]), Path(sys.argv[2]), jobs=2, progress=told)"
    )
    (folder.parent / "run.py").write_text(program)
    out = folder.parent / "killed"
    running = subprocess.Popen(
        [sys.executable, folder.parent / "run.py", folder, out],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert running.stdout is not None
    assert b"looking" in running.stdout.readline()
    own = {int(name) for name in os.listdir("/proc") if name.isdigit() and parent_of(int(name)) == running.pid}
    assert len(own) >= 2
    running.kill()
    running.wait()
    running.stdout.close()
    end = time.monotonic() + 60
    while any(Path(f"/proc/{one}").exists() and parent_of(one) is not None for one in own) and time.monotonic() < end:
        time.sleep(0.05)
    assert not [one for one in own if parent_of(one) is not None]
    made(folder, "killed")
    made(folder, "whole")
    assert contents(out) == contents(folder.parent / "whole")


def parent_of(process: int) -> int | None:
    """None of a process that has ended."""
    try:
        state, parent = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return None
    return None if state == "Z" else int(parent)


@pytest.mark.parametrize("spoil", ["journal", "values", "both"])
def test_unfinished_work_that_is_damaged_is_done_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, spoil: str
) -> None:
    made(folder, "whole")

    def stop(what: str, done: int, total: int) -> None:
        if what == "reading" and done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made(folder, progress=stop)
    work = folder.parent / ".cache.preparing"
    if spoil != "values":
        journal = (work / "journal.jsonl").read_bytes()
        (work / "journal.jsonl").write_bytes(journal[: len(journal) - 9] + (b"" if spoil == "journal" else b"\n{}\n"))
    if spoil != "journal":
        values = bytearray((work / "whole" / VALUES).read_bytes())
        values[HEADER + 7] ^= 1
        (work / "whole" / VALUES).write_bytes(values)
    done = made(folder)
    assert done.resumed == (7 if spoil == "journal" else 0)
    assert contents(folder.parent / "cache") == contents(folder.parent / "whole")
    assert not work.exists()


def test_unfinished_work_of_other_options_or_another_source_is_begun_anew(folder: Path) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if what == "reading" and done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made(folder, progress=stop)
    with pytest.raises(KeyboardInterrupt):
        made(folder, frame=100, progress=stop)
    write(folder / "003.wav", noise(999))
    done = made(folder, frame=100)
    assert (done.resumed, done.began_anew) == (0, True)
    made(folder, "whole", frame=100)
    assert contents(folder.parent / "cache") == contents(folder.parent / "whole")


def test_two_do_not_work_at_once(folder: Path, refused: Refused) -> None:
    def again(what: str, done: int, total: int) -> None:
        if (what, done) == ("reading", 2):
            with refused("another process is preparing"):
                made(folder)

    made(folder, progress=again)


def test_a_second_call_reads_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = made(folder)
    for path in (folder / "000.wav", folder / "more"):
        os.utime(path)  # written again, or copied, with the same content
    monkeypatch.setattr(preparing, "read_file", None)
    again = made(folder, jobs=2)
    assert (again.found, again.manifest) == (True, first.manifest)


def test_a_changed_source_is_said(folder: Path, refused: Refused) -> None:
    made(folder)
    cache = contents(folder.parent / "cache")
    write(folder / "new.wav", noise(1000))
    (folder / "001.wav").rename(folder / "old.wav")
    write(folder / "002.wav", noise(LENGTHS[2], seed=99))
    with refused(
        "has changed since", "2 new (such as new.wav)", "1 missing (such as 001.wav)", "1 changed (such as 002.wav)"
    ):
        made(folder)
    assert contents(folder.parent / "cache") == cache


def test_side_files_that_say_something_else_are_said(tmp_path: Path, refused: Refused) -> None:
    source = write_iam(tmp_path / "source")
    given = DataOptions(source=str(source))
    prepare("iam-ondb", given, tmp_path / "cache")
    assert prepare("iam-ondb", given, tmp_path / "cache").found
    (words,) = source.rglob("a01-000u.txt")
    lists = {path.name: path for path in source.rglob("*set*.txt")}
    train, test = lists["trainset.txt"], lists["testset_v.txt"]
    for path, text in {
        words: words.read_text().replace("Trevor", "Thomas"),
        test: test.read_text() + "a01-000x\n",
    }.items():
        before = path.read_text(), train.read_text()
        path.write_text(text)
        if path == test:
            train.write_text(train.read_text().replace("a01-000x", ""))
        with refused("has changed since", "lists, transcripts or tables of speakers"):
            prepare("iam-ondb", given, tmp_path / "cache")
        path.write_text(before[0])
        train.write_text(before[1])
        assert prepare("iam-ondb", given, tmp_path / "cache").found


@pytest.mark.parametrize("given", [{"split": "random"}, {"test_pattern": "a"}, {"test": 0.2}, {"validation": 0.2}])
def test_parts_of_a_corpus_are_its_own_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused, given: dict[str, Any]
) -> None:
    source = write_iam(tmp_path / "source")
    monkeypatch.setattr(preparing, "read_file", None)
    with refused(f"--{next(iter(given)).replace('_', '-')}: iam-ondb has parts of its own"):
        prepare("iam-ondb", DataOptions(source=str(source), **given), tmp_path / "cache")


def test_other_options_are_said(folder: Path, refused: Refused) -> None:
    made(folder)
    with refused("--out", "frame 200, not 100", "choose another name"):
        made(folder, frame=100)
    with refused("seed 0, not 1"):
        made(folder, seed=1)
    wanted = folder.parent / "list.txt"
    wanted.write_text("000.wav\n")
    made(folder, "listed", split="list", test_list=str(wanted))
    wanted.write_text("001.wav\n")
    with refused("list"):
        made(folder, "listed", split="list", test_list=str(wanted))


def test_a_file_that_changes_while_it_is_read(folder: Path, refused: Refused) -> None:
    def meanwhile(what: str, done: int, total: int) -> None:
        if (what, done) == ("reading", 1):
            write(folder / "more" / "009.flac", noise(500))

    with refused("009.flac", "changed while", "same command again"):
        made(folder, progress=meanwhile)
    assert not (folder.parent / "cache").exists()
