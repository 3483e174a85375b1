"""Holds README.md and the pages to the code: commands that parse, tables that agree, links that lead somewhere."""

import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "docs"), str(ROOT / "docs" / "examples")]
os.environ["PYRO_VRNN_TRUST"] = "my_parts"  # of the page on parts of one's own

from live import variants_table  # noqa: E402

from pyro_vrnn.ablation.grid import expand  # noqa: E402
from pyro_vrnn.commands.ablating import Asked  # noqa: E402
from pyro_vrnn.commands.main import commands  # noqa: E402
from pyro_vrnn.commands.options import by_room  # noqa: E402
from pyro_vrnn.errors import UserError  # noqa: E402
from pyro_vrnn.training.config import read  # noqa: E402

README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
INSTALL = "python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e"
FIRST_RUN = f"{INSTALL} '.[speech]' && .venv/bin/python cli.py fit --variant vrnn-i"


def problems() -> Iterator[str]:
    """One line for everything that is wrong."""
    readme = README.read_text(encoding="utf-8")
    if FIRST_RUN not in readme.splitlines():
        yield f"README.md: lacks the line {FIRST_RUN}"
    for row in variants_table().splitlines():
        if row not in readme.splitlines():
            yield f"README.md: the table of variants lacks the row {row}"
    for page in PAGES:
        name, text = page.relative_to(ROOT), page.read_text(encoding="utf-8")
        for placeholder in re.findall(r"@[A-Z]+@", text):
            yield f"{name}: {placeholder} has not been filled in"
        for command in _commands(text):
            if mistake := _mistake(command):
                yield f"{name}: {shlex.join(command)}: {mistake}"
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
            if not (page.parent / target).exists():
                yield f"{name}: the link to {target} leads nowhere"


def _commands(text: str) -> Iterator[list[str]]:
    """What follows cli.py in every shell block."""
    for block in re.findall(r"^[ ]*```bash\n(.*?)^[ ]*```$", text, re.DOTALL | re.MULTILINE):
        for line in re.split(r"\n|&&", block):
            words = shlex.split(line, comments=True)
            if "cli.py" in words:
                yield words[words.index("cli.py") + 1 :]


def _mistake(words: list[str]) -> str:
    """What the command line says of them; empty if it would begin to work."""
    command, arguments = commands, list(words)
    context = click.Context(commands, info_name="cli.py")
    try:
        while isinstance(command, click.Group):
            name, found, arguments = command.resolve_command(context, arguments)
            assert found is not None
            command = found
        given = dict(command.make_context(name, arguments, parent=context).params)
        if name == "fit":
            config = read(None, by_room(given), given["settings"])
            config.explicit(config.data.frame)
        if name == "ablate":
            of_fit = by_room(given)
            expand(
                Asked(of_fit, given.pop("config"), given.pop("settings"), **given).axes,
                lambda more: read(None, of_fit, more),
            )
    except (click.ClickException, UserError) as error:
        return error.format_message() if isinstance(error, click.ClickException) else str(error)
    return ""


if __name__ == "__main__":
    found = list(problems())
    print("\n".join(found) or f"{len(PAGES)} pages agree with the code")
    sys.exit(bool(found))
