"""The search of ``ablate``: short trials first, then the chosen values of each group."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from rich.console import Console

from pyro_vrnn.ablation.grid import Axis, Cell, axis, label
from pyro_vrnn.ablation.running import Standing
from pyro_vrnn.ablation.work import runs_of
from pyro_vrnn.commands.plan import Plan
from pyro_vrnn.comparison import trials as tables
from pyro_vrnn.comparison.formats import markdown
from pyro_vrnn.comparison.runs import FINAL, STAGE, SUPERSEDED
from pyro_vrnn.comparison.trials import Trial
from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.tracking import PARENT, TrackedRun, adopt, find_runs
from pyro_vrnn.training.files import write_whole


def trial_axes(texts: Sequence[str]) -> list[Axis]:
    """What is searched over.

    Raises:
        ConfigurationError: If it is no value of the configuration, or scores of its values could not be compared.
    """
    found = []
    for text in texts:
        name, equals, values = text.partition("=")
        if not equals:
            raise ConfigurationError(f"--trial {text}: expected NAME=A,B,..., e.g. learning_rate=1e-3,3e-4")
        each = axis(name.strip(), values, "--trial")
        if each.place.startswith(("data.", "evaluation.")) or each.place == "training.seed":
            raise ConfigurationError(
                f"--trial {text}: trials are chosen by their validation score, which this does not change, or makes "
                "another; expected a value of the model or of the training"
            )
        found.append(each)
    return found


def trials_of(plan: Plan, seed: int, settings: Sequence[str]) -> Plan:
    """The trials of a plan: its axes but for the seed, which is the trials' own.

    Args:
        plan: With the axes of the trials among its own, seeds last.
        seed: Of all trials.
        settings: ``room.name=value`` of the trials alone.

    Raises:
        ConfigurationError: If a setting is of the data, or of an axis.
    """
    for setting in settings:
        place = setting.partition("=")[0].strip()
        if place.startswith("data.") or place in {each.place for each in plan.axes}:
            raise ConfigurationError(f"--trial-set {setting}: data and axes are the same for trials and final runs")
    own = Axis("seed", "training.seed", (str(seed),))
    return replace(plan, axes=[*plan.axes[:-1], own], settings=[*plan.settings, *settings])


def chosen_of(standing: Standing, cells: Sequence[Cell], searched: Sequence[Axis]) -> list[Trial]:
    """All trials with their scores, the chosen ones marked.

    A trial whose run has failed (it diverged, say) is a trial without a score. One that was killed is not: called
    again, it has another outcome.

    Args:
        standing: After the work on them.
        cells: The trials, in the order of ``standing.cells``.
        searched: The axes that are chosen along.

    Raises:
        ConfigurationError: If a trial was lost, or scores cannot be compared.
    """
    names, runs = {each.name for each in searched}, {**standing.there, **standing.finished}
    found, lost = [], []
    for task, cell in zip(standing.cells, cells, strict=True):
        group = {name: value for name, value in cell.values.items() if name not in names and name != "seed"}
        trial = Trial(group, {each.name: cell.values[each.name] for each in searched})
        if task.identity in runs:
            found.append(tables.scored(trial, runs[task.identity]))
            continue
        why = standing.failed[task.identity]
        found.append(replace(trial, failure=why))
        if not any(run.status == "FAILED" for run in runs_of(task)):
            lost.append(f"{task.label}: {why}")
    if lost:
        raise ConfigurationError(
            f"{len(lost)} trials came to no end, and a search without them would not be the same for all ({lost[0]}); "
            "the same command again goes on with them"
        )
    return tables.choose(found)


def publish(found: Sequence[Trial], remarks: Sequence[str], parent: TrackedRun) -> None:
    """The trials as files of the search's own run."""
    files = {
        tables.FILE: tables.dump(found, remarks),
        "trials.csv": tables.comma_separated(found),
        "trials.md": markdown([tables.sheet(found, remarks)]),
    }
    for name, text in files.items():
        write_whole(parent.folder / name, text.encode())
        parent.artifact(parent.folder / name)


def final_cells(found: Sequence[Trial], cells: Sequence[Cell]) -> list[Cell]:
    """Of all cells those with the chosen values."""
    chosen = [{**trial.group, **trial.values} for trial in found if trial.chosen]
    return [cell for cell in cells if _without_seed(cell.values) in chosen]


def without_score(found: Sequence[Trial]) -> list[str]:
    """The groups none of whose trials has a score, by label."""
    groups = {label(trial.group): False for trial in found}
    for trial in found:
        groups[label(trial.group)] |= trial.chosen
    return [name for name, chosen in groups.items() if not chosen]


def mark_finals(found: Sequence[Trial], parent: TrackedRun) -> None:
    """Says of final runs of earlier calls whether theirs are still the chosen values: more trials may choose others."""
    chosen = [trial for trial in found if trial.chosen]
    for run in find_runs(parent.experiment, uri=parent.uri, tags={PARENT: parent.id}):
        if run.tags.get(STAGE) not in (FINAL, SUPERSEDED):
            continue
        for trial in chosen:
            if _has(run.tags, trial.group):
                adopt(run, parent.id, {STAGE: FINAL if _has(run.tags, trial.values) else SUPERSEDED})


def tell(found: Sequence[Trial], out: Console) -> None:
    """What was chosen, in words."""
    for trial in found:
        if trial.chosen:
            values = ", ".join(f"{name} {value}" for name, value in trial.values.items())
            out.print(f"chosen   {label(trial.group)}: {values} (validation {trial.score:.1f} nats/sequence)")
    for name in without_score(found):
        out.print(f"no trial of {name} has a score, and it is left out")


def _without_seed(values: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if name != "seed"}


def _has(tags: Mapping[str, str], values: Mapping[str, str]) -> bool:
    return all(tags.get(name) == value for name, value in values.items())
