"""Trials of a search: what each scored on validation, which of them is chosen, and all of them as a table."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from pyro_vrnn.comparison.formats import Entry, Piece, Sheet
from pyro_vrnn.errors import ConfigurationError, TrackingError, first_line
from pyro_vrnn.inference.estimators import ESTIMATORS
from pyro_vrnn.inference.results import Kind
from pyro_vrnn.tracking import RunRecord, fetch

#: The file of a search's own run.
FILE = "trials.json"


@dataclass(frozen=True)
class Trial:
    """A short run of a search.

    Attributes:
        group: Values of what is compared: the chosen one is chosen within it.
        values: Values that are searched over.
        run: Its id; None if it did not end well.
        score: Best validation score, nats a sequence; None if it has none.
        kind: What the score says of log p(x), as in results files; empty without a score.
        failure: Why it has none.
        chosen: Whether it is the best of its group.
    """

    group: Mapping[str, str]
    values: Mapping[str, str]
    run: str | None = None
    score: float | None = None
    kind: str = ""
    failure: str | None = None
    chosen: bool = False


def scored(trial: Trial, run: RunRecord) -> Trial:
    """The trial with what its finished run scored. Its test numbers are not read."""
    score = run.metrics.get("validation/best", math.nan)
    if not math.isfinite(score):
        return replace(trial, run=run.id, failure="no finite validation score")
    names = (name.partition("/")[2].partition("_")[0] for name in run.metrics if name.startswith("validation/"))
    kind = next(ESTIMATORS[name].kind for name in names if name in ESTIMATORS)
    if kind is Kind.EXACT and run.parameters.get("data.dither") == "True":
        kind = Kind.BOUND
    return replace(trial, run=run.id, score=score, kind=kind.label)


def choose(trials: Sequence[Trial]) -> list[Trial]:
    """The same trials, of each group the best marked as chosen; of equal ones the first.

    Raises:
        ConfigurationError: If scores of a group are of different kinds: a bound may be of something larger.
    """
    best: dict[tuple[str, ...], Trial] = {}
    for trial in trials:
        if trial.score is None:
            continue
        key = tuple(trial.group.values())
        other = best.setdefault(key, trial)
        if other.kind != trial.kind:
            raise ConfigurationError(
                f"--trial: scores of different kinds ({other.kind}, {trial.kind}) cannot be chosen from; make what "
                "separates them an axis with --grid"
            )
        if other.score is None or trial.score > other.score:
            best[key] = trial
    chosen = {id(trial) for trial in best.values()}
    return [replace(trial, chosen=id(trial) in chosen) for trial in trials]


def sheet(trials: Sequence[Trial], remarks: Sequence[str] = ()) -> Sheet:
    """The trials to be printed, a row each, the chosen ones set off.

    Args:
        trials: At least one.
        remarks: How they were trained.
    """
    header = [*trials[0].group, *trials[0].values, "validation"]
    rows: list[list[Entry]] = []
    for trial in trials:
        score: Entry = f"failed: {trial.failure}"
        if trial.score is not None:
            score = (Piece(Kind[trial.kind.upper()].mark, "", f"{trial.score:.1f}", "", trial.chosen),)
        rows.append([*trial.group.values(), *trial.values.values(), score])
    marks = {kind.mark: kind.words for kind in Kind if any(trial.kind == kind.label for trial in trials)}
    last = [
        *("; ".join(f"{mark} {words}" for mark, words in marks.items()),) * bool(marks),
        "chosen (bold, *): the best validation score of its group; no test number is looked at",
    ]
    return Sheet("Trials; nats / sequence of validation", header, rows, [*remarks, *last])


def comma_separated(trials: Sequence[Trial]) -> str:
    """A line a trial, at full precision."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    about = ("validation", "kind", "chosen", "failure", "run")
    writer.writerow([*trials[0].group, *trials[0].values, *about])
    for trial in trials:
        score = "" if trial.score is None else repr(trial.score)
        said = [score, trial.kind, trial.chosen, trial.failure or "", trial.run or ""]
        writer.writerow([*trial.group.values(), *trial.values.values(), *said])
    return out.getvalue()


def dump(trials: Sequence[Trial], remarks: Sequence[str]) -> str:
    """As a search's own run keeps them."""
    return json.dumps({"remarks": list(remarks), "trials": [asdict(trial) for trial in trials]}, indent=1)


def collect_trials(parent: str, *, uri: str) -> tuple[list[Trial], list[str]]:
    """The trials of a search, and how they were trained.

    Args:
        parent: The search's own run.
        uri: The store.

    Raises:
        TrackingError: If it keeps none.
    """
    try:
        file = fetch(parent, FILE, uri=uri)
        held = json.loads(file.read_bytes())
        return [Trial(**each) for each in held["trials"]], held["remarks"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrackingError(f"run {parent}: its trials cannot be read ({first_line(error)})") from None
