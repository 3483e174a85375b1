"""Work that tells how far it is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import Progress

#: Told what is being done, how much of it is done, and how much there is.
Told = Callable[[str, int, int], None]


@contextmanager
def progress(out: Console, *, aloud: str | None = None) -> Iterator[Told]:
    """A bar for everything that is being done on a terminal; elsewhere nothing.

    Args:
        out: Where.
        aloud: What has this word in its name is said in a line where there is no terminal: it may take long.
    """
    with Progress(console=out, disable=not out.is_terminal, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def told(what: str, done: int, total: int) -> None:
            if what not in tasks:
                if not out.is_terminal and total > 1 and aloud is not None and aloud in what:
                    out.print(what)
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield told


class Counter:
    """Adds up what is done.

    Args:
        told: Told of it.
        what: What it is.
        total: How much there is.
    """

    def __init__(self, told: Told, what: str, total: int) -> None:
        self.told, self.what, self.total, self.done = told, what, total, 0
        told(what, 0, total)

    def __call__(self, more: int) -> None:
        """So much more is done."""
        self.done += more
        self.told(self.what, self.done, self.total)
