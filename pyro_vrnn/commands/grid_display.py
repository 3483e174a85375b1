"""What people see while a grid is worked on."""

import time

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pyro_vrnn.ablation.running import Standing
from pyro_vrnn.ablation.work import Task, last_line
from pyro_vrnn.commands.display import duration
from pyro_vrnn.inference.results import Kind
from pyro_vrnn.tracking import RunRecord

#: Cells in the live table at most.
SHOWN = 16


class GridDisplay:
    """A line an event; on a terminal also a live table of the cells that are being worked on.

    Args:
        out: Where to print.
        slots: Cells at a time, from which the time that is left is guessed.
    """

    def __init__(self, out: Console, slots: int) -> None:
        self.out, self.slots = out, slots
        self.live = Live(console=out, transient=True, auto_refresh=False) if out.is_terminal else None

    def __enter__(self) -> "GridDisplay":
        if self.live is not None:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live is not None:
            self.live.stop()

    def begun(self, standing: Standing, task: Task, *, resumed: bool) -> None:
        """A line where there is no table."""
        if self.live is None or resumed:
            self._say(standing, "resumed" if resumed else "begun", task, "")

    def ended(self, standing: Standing, task: Task, seconds: float) -> None:
        """A line: what came of it."""
        key = task.identity
        if key in standing.failed:
            self._say(standing, "FAILED", task, f" after {duration(seconds)}: {standing.failed[key]}")
        elif key in standing.finished:
            self._say(standing, "finished", task, f" in {duration(seconds)}{likelihood(standing.finished[key])}")
        elif key in standing.there:
            run = standing.there[key]
            self._say(standing, "there", task, f" already, run {run.id[:8]}{likelihood(run)}")
        else:
            self._say(standing, "waiting", task, ": another process works on it")

    def tick(self, standing: Standing) -> None:
        """Draws the table."""
        if self.live is not None:
            self.live.update(Group(self._table(standing), Text(summary(standing, self.slots))), refresh=True)

    def _say(self, standing: Standing, event: str, task: Task, more: str) -> None:
        total = len(standing.cells)
        self.out.print(f"{event:<8} {standing.done:>{len(str(total))}}/{total} {task.label}{more}")

    def _table(self, standing: Standing) -> Table:
        table = Table(box=box.SIMPLE_HEAD)
        # What a cell is called is never cut; what it says is.
        widest = max((len(task.label) for task in standing.cells), default=0)
        table.add_column("cell", no_wrap=True, min_width=widest)
        table.add_column("for", no_wrap=True, min_width=6)
        table.add_column("it says", no_wrap=True, overflow="ellipsis")
        by_key = {task.identity: task for task in standing.cells}
        for key, since in list(standing.running.items())[:SHOWN]:
            task = by_key[key]
            table.add_row(task.label, duration(time.monotonic() - since), last_line(task.log))
        if len(standing.running) > SHOWN:
            table.add_row(f"and {len(standing.running) - SHOWN} more", "", "")
        return table


def summary(standing: Standing, slots: int) -> str:
    """Counts, and how long it will go on as far as the cells that are done tell."""
    total = len(standing.cells)
    words = [f"{standing.done} of {total} cells done", f"{len(standing.running)} running"]
    if standing.failed:
        words.append(f"{len(standing.failed)} failed")
    if standing.elsewhere:
        words.append(f"{len(standing.elsewhere)} in other processes")
    if standing.seconds:
        each = sum(standing.seconds) / len(standing.seconds)
        spent = sum(min(time.monotonic() - since, each) for since in standing.running.values())
        left = ((total - standing.done) * each - spent) / min(slots, total)
        words += [f"about {duration(left)} left"] if left > 0 else []
    return ", ".join(words)


def likelihood(run: RunRecord) -> str:
    """A run's first number, with its mark and unit."""
    for name, kind in (("exact", Kind.EXACT), ("elbo", Kind.BOUND)):
        if (value := run.metrics.get(f"test/{name}")) is not None:
            dithered = run.parameters.get("data.dither") == "True"
            return f": {Kind.BOUND.mark if dithered else kind.mark} {value:.1f} nats/sequence"
    return ""
