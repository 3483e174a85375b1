"""The page on the paper's Table 1: its commands, read from it, on small folders in the layout of the five corpora."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from pyro_vrnn.comparison.paper import TABLE, printed
from pyro_vrnn.training.config import read
from tests.data.corpora import WRITERS

from .conftest import CLI, SMALL, Ended

PAGE = CLI.parent / "docs" / "table-1.md"
FEW = [*SMALL, "--max-steps", "1", "--set", "evaluation.particles=2", "--set", "evaluation.repetitions=1"]


def page_commands(*which: str) -> list[list[str]]:
    """The words after ``cli.py`` of the page's commands of these names, in order."""
    blocks = re.findall(r"```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    lines = [shlex.split(line) for block in blocks for line in block.splitlines()]
    return [words[2:] for words in lines if words[:2] == ["python", "cli.py"] and words[2] in which]


def option(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


def test_the_page_has_every_corpus_and_model_of_the_table():
    assert [words[:2] for words in page_commands("data")] == [["data", "prepare"]] * 5
    assert [words[2] for words in page_commands("data")] == list(TABLE)
    grids = page_commands("ablate")
    assert [option(words, "--preset") for words in grids] == list(TABLE)
    for words in grids:
        preset, kind = option(words, "--preset"), "pen" if "iam-ondb" in words else "audio"
        assert option(words, "--variants").split(",") == list(TABLE[preset])
        assert option(words, "--seeds") == "0,1,2"
        for variant, numbers in TABLE[preset].items():
            given = {"variant": variant, "preset": preset, "widths": option(words, "--widths")}
            config = read(None, {"model": given}).explicit(3 if kind == "pen" else 200, kind)
            assert printed(config.model) == numbers, "the paper's row would not stand below ours"


def _prepare(command: Callable[..., Ended]) -> None:
    for words in page_commands("data"):
        WRITERS[words[2]](Path(words[3]))
        ended = command(*words, "--jobs", "1")
        assert ended.status == 0, ended.err


def _compare(command: Callable[..., Ended], rows: list[str]) -> None:
    """All of the page's tables; each is one, with the corpora as columns."""
    shown, written, full = page_commands("compare")
    ended = command(*shown)
    assert ended.status == 0, ended.err
    ended = command(*shown, "--format", "markdown")
    table = [line for line in ended.out.splitlines() if line.startswith("|")]
    assert table[0] == "|  | " + " | ".join(TABLE) + " |"
    assert [line.split(" | ")[0] for line in table[2:]] == [*(f"| {row}" for row in rows), table[-1].split(" | ")[0]]
    for line in table[2 : 2 + len(rows)]:
        assert re.fullmatch(r"\| \S+ (\| [=≥] \S+( ± \S+)?(  ≈₂ \S+( ± \S+)?  ~₂ \S+( ± \S+)?)? ){5}\|", line), line
    assert command(*written).status == 0
    latex = Path(option(written, "--out")).read_text()
    assert " & ".join(["", *TABLE]) in latex
    assert latex.count(r"\begin{tabular}") == 1
    assert command(*full).status == 0
    lines = Path(option(full, "--out")).read_text().splitlines()
    assert any("carried/4/" in line for line in lines), "Blizzard is scored with its state carried over, too"


def test_the_commands_of_the_page_in_small(command):
    """Each is run as it stands but for its sizes; of each grid, one cell by the command that `ablate` prints of it."""
    _prepare(command)
    for words in page_commands("ablate"):
        ended = command(*words, *FEW, "--print-commands")
        assert ended.status == 0, ended.err
        cells = [shlex.split(line)[2:] for line in ended.out.splitlines()]
        assert len(cells) == 15
        (cell,) = [each for each in cells if option(each, "--variant") == "vrnn-gmm" and option(each, "--seed") == "1"]
        ended = command(*cell)
        assert ended.status == 0, ended.err
    _compare(command, ["vrnn-gmm"])


@pytest.mark.slow  # a process for each of ten cells
def test_the_grids_of_the_page_in_small(command):
    _prepare(command)
    for words in page_commands("ablate"):
        words = [*words]
        words[words.index("--variants") + 1], words[words.index("--seeds") + 1] = "rnn-gauss,vrnn-gmm", "1"
        ended = command(*words, *FEW)
        assert ended.status == 0, ended.out + ended.err
        assert "2 of 2 cells are finished" in ended.out
    _compare(command, ["rnn-gauss", "vrnn-gmm"])
