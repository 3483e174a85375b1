"""What a tracked run says of its test set: one number a sequence, and what they are."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyro_vrnn.errors import TrackingError, first_line
from pyro_vrnn.inference.results import Kind
from pyro_vrnn.model.variants import ALIASES
from pyro_vrnn.tracking import PARENT, RunRecord, fetch, find_run, find_runs
from pyro_vrnn.training.config import Config, read
from pyro_vrnn.training.identity import WHERE

#: The tag that says what a run of a search is.
STAGE = "stage"

#: What it says: one of those chosen from; one of the chosen values; one of values that are no longer the chosen ones.
TRIAL, FINAL, SUPERSEDED = "trial", "final", "superseded"

#: What says nothing of a model: the same for all of one test set.
REFERENCES = ("iid_gaussian", "diagonal_innovations", "generating_model")

#: Units of a table: what ``results.json`` calls them, in words, and digits after the point.
UNITS = {
    "nats": ("nats_per_sequence", "nats / sequence", 1),
    "nats-per-frame": ("nats_per_frame", "nats / frame", 2),
    "nats-per-dimension": ("nats_per_dimension", "nats / dimension", 4),
    "bits": ("bits_per_sample", "bits / sample", 3),
}


@dataclass(frozen=True)
class Scored:
    """A run and its test results.

    Attributes:
        id: Of the run.
        name: Of the run.
        started: When; a text that sorts.
        config: Explicit.
        results: ``results.json``.
        sequences: Names of the test sequences, N of them.
        nats: Of each sequence by estimate's name, each ``(N,)``.
    """

    id: str
    name: str
    started: str
    config: Config
    results: Mapping[str, Any]
    sequences: Sequence[str]
    nats: Mapping[str, NDArray[np.float64]]

    @property
    def seed(self) -> int:
        """The seed."""
        return self.config.training.seed

    @property
    def data(self) -> Mapping[str, Any]:
        """What the corpus says of itself."""
        return self.results["data"]

    @cached_property
    def block(self) -> str:
        """Equal where numbers can stand in one column: the same data, cut and scored in the same way."""
        said = self.config.data.model_dump(mode="json", exclude={"source"})
        seen = {name: self.data.get(name) for name in ("checksum", "frame", "sample_rate", "lsb", "dither")}
        return json.dumps([said, seen], sort_keys=True)

    @cached_property
    def group(self) -> str:
        """Equal where runs differ in their seed alone."""
        rooms = self.config.model_dump(mode="json", exclude={"tracking": True, "data": {"source"}}, exclude_none=True)
        for name in WHERE | {"seed"}:
            rooms["training"].pop(name, None)
        rooms["model"]["variant"] = ALIASES.get(self.config.model.variant, self.config.model.variant)
        return json.dumps([rooms, self.data["checksum"]], sort_keys=True)

    @property
    def parameters(self) -> int:
        """Of the model."""
        return sum(self.results["parameters"].values())

    def kind(self, estimate: str) -> Kind:
        """What an estimate says of log p(x)."""
        return Kind[self.results["results"][estimate]["kind"].upper()]

    def value(self, estimate: str, units: str, like: "Scored | None" = None) -> float | None:
        """A number of the whole test set; None where there is none in these units.

        Args:
            estimate: Its name.
            units: A key of :data:`UNITS`.
            like: Nats are those of data standardised as this run's are; None: as they were.
        """
        held = self.results["results"][estimate]
        value = held[UNITS[units][0]]
        if value is None or units == "bits" or like is None:
            return None if value is None else float(value)
        per_frame = like.log_std - self.log_std
        frames = held["frames"] / held["sequences"] if units == "nats" else 1.0
        width = held["nats_per_frame"] / held["nats_per_dimension"] if units == "nats-per-dimension" else 1.0
        return float(value) + per_frame * frames / width

    @property
    def log_std(self) -> float:
        """Logarithm of the volume that one frame's standardisation divides by."""
        std = self.data["std"]
        return sum(map(math.log, std)) if isinstance(std, list) else self.data["frame"] * math.log(std)


def scored(record: RunRecord) -> Scored | None:
    """A run with its results; None if it keeps none.

    Raises:
        TrackingError: If what it keeps cannot be read.
    """
    from pyarrow.csv import read_csv

    try:
        files = [
            fetch(record.id, name, uri=record.uri) for name in ("results.json", "results.sequences.csv", "config.toml")
        ]
    except TrackingError:
        return None
    try:
        results, table = json.loads(files[0].read_bytes()), read_csv(files[1])
        columns = {name: table[name].to_numpy() for name in results["results"] if name in table.column_names}
        sequences = [str(name) for name in table["sequence"].to_pylist()]
    except (OSError, ValueError, KeyError) as error:
        raise TrackingError(f"run {record.name}: its results cannot be read ({first_line(error)})") from None
    config = read(files[2])
    return Scored(record.id, record.name, record.started.isoformat(), config, results, sequences, columns)


def collect(
    references: Sequence[str], parent: str | None, experiment: str | None, *, uri: str
) -> tuple[list[Scored], list[str]]:
    """The runs that are meant, and remarks on what was left out.

    Args:
        references: Runs; where there are none, those of a grid or of an experiment that are finished.
        parent: The grid.
        experiment: Its name; None: the one that ``fit`` takes.
        uri: The store.

    Raises:
        TrackingError: If there is nothing to compare.
    """
    if references:
        records = [find_run(reference, uri=uri) for reference in references]
    elif parent is not None:
        grid = find_run(parent, uri=uri)
        records = find_runs(grid.experiment, uri=uri, tags={PARENT: grid.id})
    else:
        name = experiment or Config().tracking.experiment
        records = [record for record in find_runs(name, uri=uri) if "grid" not in record.tags]
    remarks = []
    if not references:
        trials = [record for record in records if record.tags.get(STAGE) in (TRIAL, SUPERSEDED)]
        records = [record for record in records if record not in trials]
        if trials:
            remarks.append(f"{len(trials)} trials are left out; compare --parent with --trials shows them")
        left = [record for record in records if record.status != "FINISHED"]
        records = [record for record in records if record.status == "FINISHED"]
        if left:
            remarks.append(f"{len(left)} runs are not finished and left out: {_some(left)}")
    found = [(record, scored(record)) for record in records]
    without = [record for record, each in found if each is None]
    if without and references:
        raise TrackingError(
            f"run {without[0].name} keeps no results; run `fit --resume {without[0].id[:8]}` to its end"
        )
    kept = [each for _, each in found if each is not None]
    if not kept:
        raise TrackingError("nothing to compare: no run there is finished; train some with `fit` or `ablate`")
    remarks += [f"{each.name} was ended before its time" for each in kept if not each.results.get("completed", True)]
    newest: dict[tuple[str, str, int], Scored] = {}
    for each in sorted(kept, key=lambda each: each.started):
        newest[each.block, each.group, each.seed] = each
    if len(newest) < len(kept):
        remarks.append("of runs with the same configuration and seed the newest counts")
    return list(newest.values()), remarks


def _some(records: Sequence[RunRecord], most: int = 4) -> str:
    more = f" and {len(records) - most} more" if len(records) > most else ""
    return ", ".join(f"{record.name} ({record.status})" for record in records[:most]) + more
