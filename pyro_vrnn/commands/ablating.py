"""What ``ablate`` does: the whole grid is looked at, then each cell is worked on, then all is summed up."""

import json
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pyro_vrnn.ablation import grid as grids
from pyro_vrnn.ablation.launching import Launcher, Local, cores, gpus_here
from pyro_vrnn.ablation.running import Standing
from pyro_vrnn.ablation.running import run as work_on
from pyro_vrnn.ablation.work import Task
from pyro_vrnn.commands import display, searching
from pyro_vrnn.commands.grid_display import GridDisplay
from pyro_vrnn.commands.parts_typed import trust_parts
from pyro_vrnn.commands.plan import Plan
from pyro_vrnn.commands.progress import progress
from pyro_vrnn.comparison.runs import FINAL, STAGE, TRIAL
from pyro_vrnn.data import DataOptions, load
from pyro_vrnn.errors import ConfigurationError, TrackingError
from pyro_vrnn.tracking import Store, Terminated, TrackedRun, find_runs, provenance, tracking_uri, ui_address
from pyro_vrnn.training.config import Config, value_of
from pyro_vrnn.training.files import write_whole

#: Runs that a link to the UI's comparison names at most.
COMPARED = 20


@dataclass(frozen=True)
class Asked:
    """What was typed.

    Attributes:
        given: Options of ``fit``, by room.
        config: A stored configuration, under all cells.
        settings: ``room.name=value``, for all cells.
        others: Those of the grid.
    """

    given: dict[str, dict[str, Any]]
    config: Path | None
    settings: tuple[str, ...]
    variants: str | None
    seeds: str
    grid: tuple[str, ...]
    trial: tuple[str, ...]
    trial_seed: int
    trial_set: tuple[str, ...]
    skip_senseless: bool
    jobs: int | None
    launcher: str
    launcher_set: tuple[str, ...]
    name: str | None
    print_commands: bool

    @property
    def axes(self) -> list[grids.Axis]:
        """What changes from cell to cell: variants, those of the grid, those of the trials, seeds."""
        if self.variants is None and not self.grid and not self.trial:
            raise ConfigurationError("ablate: nothing to compare; pass --variants A,B or --grid NAME=A,B")
        further = []
        for text in self.grid:
            name, equals, values = text.partition("=")
            if not equals:
                raise ConfigurationError(f"--grid {text}: expected NAME=A,B,..., e.g. guide=filtering,smoothing")
            further.append(grids.axis(name.strip(), values))
        first = [] if self.variants is None else [grids.axis("variant", self.variants)]
        return [*first, *further, *searching.trial_axes(self.trial), grids.axis("seed", self.seeds)]


def run(asked: Asked) -> int:
    """Validates, trains and sums up a grid; what to exit with.

    Raises:
        UserError: Anything a user can mend; before the first cell begins.
    """
    plan = _plan(asked)
    cells, refused = plan.cells(asked.skip_senseless)
    trials: Plan | None = None
    tried: list[grids.Cell] = []
    if asked.trial:
        trials = searching.trials_of(plan, asked.trial_seed, asked.trial_set)
        if any(cell.config.training.seed == asked.trial_seed for cell in cells):
            raise ConfigurationError(
                f"--trial-seed {asked.trial_seed}: is one of --seeds; trials have a seed of their own"
            )
        tried, _ = trials.cells(asked.skip_senseless)
    elif asked.trial_set:
        raise ConfigurationError("--trial-set: there are no trials; pass --trial NAME=A,B,... for what to search over")
    if asked.print_commands:
        threads = _threads(asked)
        for cell in tried if trials else cells:
            click.echo(f"{threads}python cli.py {shlex.join((trials or plan).words(cell))}")
        if trials:
            click.echo("# the final runs' commands depend on the scores of these trials")
        return 0

    out = display.console()
    for combination in refused:
        out.print(f"left out: {grids.label(combination.values)}: {combination.reason}")
    base = plan.configure()
    checksums = _checksums([cell.config for cell in cells], out)
    uri = Store.at(tracking_uri(base.tracking.uri)).uri
    fixed = [] if any(each.place.startswith("data.") for each in plan.axes) else list(checksums.values())
    search = [f"training.seed={asked.trial_seed}", *asked.trial_set] if trials else []
    name = grids.name_of_grid(plan.axes, base, fixed, search)
    launcher = _launcher(asked, base, uri, len(tried or cells))  # what it refuses, it refuses before a run is begun
    with _parent(name, plan.axes, base, uri, asked.name) as parent:
        left_out: list[str] = []
        tags: dict[str, str] = {}
        if trials:
            tasks = trials.tasks(tried, checksums, parent, {STAGE: TRIAL}, anywhere=True)
            out.print(f"search {parent.name}: {len(tasks)} trials ({trials.extent}), files in {parent.folder}")
            standing = _work(tasks, launcher, out)
            found = searching.chosen_of(standing, tried, plan.axes[-1 - len(asked.trial) : -1])
            searching.publish(found, [f"trials have {' and '.join(search)}"], parent)
            searching.mark_finals(found, parent)
            searching.tell(found, out)
            out.print(f"all trials:  python cli.py compare --parent {parent.id[:8]} --trials")
            cells, left_out, tags = searching.final_cells(found, cells), searching.without_score(found), {STAGE: FINAL}
            launcher = _launcher(asked, base, uri, len(cells))  # that of the trials has ended
        tasks = plan.tasks(cells, checksums, parent, tags)
        extent = f"chosen values, seed {len(plan.axes[-1].values)}" if trials else plan.extent
        out.print(
            f"grid {parent.name}: {len(tasks)} cells ({extent}), "
            f"{min(launcher.slots, len(tasks))} at a time, files in {parent.folder}"
        )
        standing = _work(tasks, launcher, out)
        _sum_up(standing, parent, out)
        if left_out and not standing.failed:
            parent.finish("FAILED", f"no trial of {', '.join(left_out)} has a score")
    return 1 if standing.failed or left_out else 0


def _plan(asked: Asked) -> Plan:
    """The whole grid, with the axes of its trials."""
    axes = asked.axes
    trust_parts(asked.given, asked.settings, [(each.place, each.values) for each in axes])
    places = {each.place for each in axes}
    settings = tuple(text for text in asked.settings if text.partition("=")[0].strip() not in places)
    given = {room: dict(options) for room, options in asked.given.items()}
    if asked.config is None and not any(text.startswith("model.widths") for text in settings):
        given.setdefault("model", {}).setdefault("widths", "matched")
    return Plan(axes, asked.config, given, settings)


def _work(tasks: Sequence[Task], launcher: Launcher, out: Any) -> Standing:
    try:
        with GridDisplay(out, launcher.slots) as shown:
            return work_on(tasks, launcher, shown)
    except (KeyboardInterrupt, Terminated):
        out.print("the same command again goes on with it")
        raise


def _launcher(asked: Asked, base: Config, uri: str, cells: int) -> Launcher:
    pairs = [text.partition("=") for text in asked.launcher_set]
    if wrong := ["".join(pair) for pair in pairs if not all(pair)]:
        raise ConfigurationError(f"--launcher-set {wrong[0]}: expected NAME=VALUE, e.g. gpus=1")
    parameters = {name.strip(): value_of(value.strip()) for name, _, value in pairs}
    if asked.launcher == "local":
        if parameters:
            raise ConfigurationError("--launcher-set: not read by --launcher local; pass --jobs, or another launcher")
        on_cpu = base.training.device.startswith("cpu")
        return Local(asked.jobs or 1, base.training.devices, [] if on_cpu else None)
    # The others are not imported where they are not used.
    from pyro_vrnn.ablation import remote

    jobs = asked.jobs or cells
    if asked.launcher == "ray":
        known = {"cores": 1, "gpus": base.training.devices if gpus_here() else 0}
        if unknown := sorted(parameters.keys() - known.keys()):
            raise ConfigurationError(f"--launcher-set {unknown[0]}: ray knows {' and '.join(known)}")
        return remote.Ray(jobs, **{**known, **parameters})
    cluster = parameters.pop("cluster", "slurm")
    return remote.Slurm(jobs, Store.at(uri).home / "slurm", parameters, cluster)


def _parent(name: str, axes: Sequence[grids.Axis], base: Config, uri: str, called: str | None) -> TrackedRun:
    """The grid's own run: the one that an earlier call has begun, or a new one."""
    Store.at(uri).open(create=True)
    experiment = base.tracking.experiment
    try:
        found = find_runs(experiment, uri=uri, tags={"grid": name})
    except TrackingError:  # no such experiment yet; what is wrong with the store, the start says too
        found = []
    if found:
        return TrackedRun.resume(found[0].id, uri=uri)
    data = Path(base.data.source).name or base.data.source
    return TrackedRun.start(
        uri=uri,
        experiment=experiment,
        name=called or f"ablate-{data}-{time.strftime('%m%d-%H%M%S')}",
        parameters=base.kept().flat(),
        tags={
            **(base.tracking.tags or {}),
            "grid": name,
            "axes": ", ".join(each.name for each in axes),
            "data": data,
            **provenance(),
        },
    )


def _checksums(configs: Sequence[Config], out: Any) -> dict[DataOptions, str]:
    """Reads every corpus of the grid once: its cells find it in the cache, and what is wrong with it shows here."""
    found: dict[DataOptions, str] = {}
    with progress(out) as told:
        for config in configs:
            if config.data not in found:
                corpus = load(config.data, seed=config.training.seed, progress=told)
                found[config.data] = corpus.checksum
                for line in corpus.lines():
                    out.print(line)
    return found


def _sum_up(standing: Standing, parent: TrackedRun, out: Any) -> None:
    """What came of the cells, in words, as a file of the parent's, and as its status."""
    runs = {**standing.there, **standing.finished}
    held = [
        {
            "label": task.label,
            "configuration": task.identity,
            **{f"tag.{name}": value for name, value in task.tags.items()},
            "run": runs[task.identity].id if task.identity in runs else None,
            "failure": standing.failed.get(task.identity),
        }
        for task in standing.cells
    ]
    write_whole(parent.folder / "cells.json", json.dumps(held, indent=1).encode())
    parent.artifact(parent.folder / "cells.json")
    failed = len(standing.failed)
    before = f" ({len(standing.there)} of them before)" if standing.there else ""
    out.print(
        f"{len(runs)} of {len(standing.cells)} cells are finished{before}" + (f", {failed} failed:" * bool(failed))
    )
    for task in standing.cells:
        if why := standing.failed.get(task.identity):
            out.print(f"  {task.label}: {why} (all it said: {task.log})")
    if failed:
        out.print("the same command again goes on with them")
    if runs:
        shown = list(runs.values())
        link = ui_address(parent.uri, *(shown if len(shown) <= COMPARED else [parent]))
        out.print(f"compare:     python cli.py compare --parent {parent.id[:8]}")
        out.print(f"open the UI: python cli.py ui   then {link}")
    if failed:
        parent.finish("FAILED", f"{failed} of {len(standing.cells)} cells failed")


def _threads(asked: Asked) -> str:
    """What a cell that runs beside others finds in its environment, as a shell takes it: sums depend on it."""
    jobs = asked.jobs or 1
    return f"OMP_NUM_THREADS={max(1, cores() // jobs)} " if asked.launcher == "local" and jobs > 1 else ""
