"""From runs to rows, columns and cells, each with its mark, and to the cell of a column that is best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pyro_vrnn.comparison.naming import labels
from pyro_vrnn.comparison.paired import LEVEL, Mean, Paired, compare, over_seeds, over_trainings
from pyro_vrnn.comparison.runs import REFERENCES, Scored
from pyro_vrnn.inference.results import Kind
from pyro_vrnn.model.variants import VARIANTS

#: Estimates in the order of columns, without their numbers of particles.
ORDER = ("exact", "elbo", "elbo_sampled", "iwae", "smc", "stepwise")


class Column(NamedTuple):
    """A column: an estimate, or several of which a model has one."""

    names: tuple[str, ...]

    def of(self, run: Scored) -> str | None:
        """The estimate that a run has of it."""
        return next((name for name in self.names if name in run.results["results"]), None)


@dataclass(frozen=True)
class Cell:
    """A number with its meaning.

    Attributes:
        estimate: Its name.
        kind: What it says of log p(x).
        mean: Over seeds, in the table's units.
        best: Whether it is better than every other of its column, over sequences and over seeds.
        behind: The comparison with the first of the column, that one's nats less these; None for the first itself, and
            where there is nothing to compare.
        behind_p: The same over seeds: the p-value that other trainings would differ; None for a single common seed.
    """

    estimate: str
    kind: Kind
    mean: Mean
    best: bool = False
    behind: Paired | None = None
    behind_p: float | None = None

    @property
    def particles(self) -> str:
        """How many, as the estimate's name says; else empty."""
        last = self.estimate.rpartition("_")[2]
        return last if last.isdigit() and self.kind in (Kind.CONSISTENT, Kind.ESTIMATE) else ""


@dataclass(frozen=True)
class Row:
    """A configuration with its seeds.

    Attributes:
        label: What separates it from the others.
        runs: One a seed.
        cells: By column; None where it has no such number.
        reference: Whether it is no model but a yardstick.
    """

    label: str
    runs: Sequence[Scored]
    cells: Sequence[Cell | None]
    reference: bool = False


@dataclass(frozen=True)
class Block:
    """Rows whose numbers can stand in one column.

    Attributes:
        name: Of the data.
        title: The data, and what separates them from other blocks'.
        columns: What there is a column of.
        rows: Models, then yardsticks.
        remarks: What to know.
    """

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    remarks: Sequence[str] = field(default_factory=tuple)


def blocks(runs: Sequence[Scored], units: str, *, layout: str = "kinds") -> list[Block]:
    """All runs, in a block for each data set, cut and scored in its own way.

    Args:
        runs: At least one.
        units: A key of :data:`~pyro_vrnn.comparison.runs.UNITS`.
        layout: ``kinds``, a column an estimate; or ``paper``, where exact likelihoods and bounds share the first.
    """
    by_block: dict[str, list[Scored]] = {}
    for run in runs:
        by_block.setdefault(run.block, []).append(run)
    titles = _titles([members[0] for members in by_block.values()])
    return [_block(title, members, units, layout) for title, members in zip(titles, by_block.values(), strict=True)]


def _titles(firsts: Sequence[Scored]) -> list[str]:
    flat = [run.config.data.model_dump(exclude={"source"}) for run in firsts]
    changing = [name for name in flat[0] if len({str(each[name]) for each in flat}) > 1]
    titles = []
    for run, each in zip(firsts, flat, strict=True):
        words = [f"{_name(run)}: {run.data['test_sequences']} test sequences, checksum {run.data['checksum'][:12]}"]
        words += [f"{option} {each[option]}" for option in changing if option != "dither"]
        words += ["dithered"] if run.data["dither"] else []
        titles.append(", ".join(words))
    return titles


def _name(run: Scored) -> str:
    return str(run.data["name"]).rstrip("/").rpartition("/")[2]


def _columns(runs: Sequence[Scored], layout: str) -> list[Column]:
    names = {name for run in runs for name in run.results["results"] if name not in REFERENCES}

    def place(name: str) -> tuple[int, int]:
        base, _, particles = name.rpartition("_") if name[-1].isdigit() else (name, "", "0")
        return (ORDER.index(base) if base in ORDER else len(ORDER), int(particles))

    # The same bound with another noise, of segments alone or carried.
    names -= {name for name in names if name.endswith("elbo_sampled") and name.removesuffix("_sampled") in names}
    ordered = sorted(names, key=lambda name: (place(name), name))
    if layout == "kinds":
        return [Column((name,)) for name in ordered]
    first = tuple(name for name in ("exact", "elbo") if name in names)
    return [Column(first), *(Column((name,)) for name in ordered if name.startswith(("iwae_", "stepwise_")))]


def _block(title: str, runs: Sequence[Scored], units: str, layout: str) -> Block:
    by_group: dict[str, list[Scored]] = {}
    for run in sorted(runs, key=lambda run: run.seed):
        by_group.setdefault(run.group, []).append(run)
    groups = list(by_group.values())
    columns, remarks = _columns(runs, layout), []
    like = min(runs, key=lambda run: run.seed)
    # Nothing is lost by it: nats of one standardisation are those of another and a known number.
    if units != "bits" and any(abs(run.log_std - like.log_std) > 1e-9 for run in runs):
        remarks.append(f"the seed also draws the split; all nats are those of seed {like.seed}'s standardisation")
    cells = [[_cell(column, group, units, like) for column in columns] for group in groups]
    for at, column in enumerate(columns):
        found, remark = _ranked(column, groups, [row_[at] for row_ in cells], units)
        remarks += [remark] if remark and remark not in remarks else []
        for row_, cell in zip(cells, found, strict=True):
            row_[at] = cell
    names = labels([group[0] for group in groups])
    rows = [Row(name, group, row_) for name, group, row_ in zip(names, groups, cells, strict=True)]
    rows.sort(key=place)
    return Block(_name(like), title, columns, [*rows, *_yardsticks(runs, columns, units, like)], remarks)


def place(row: Row) -> int:
    """Of a row among others: models in the order of the table of variants, then yardsticks."""
    names, variant = list(VARIANTS), row.runs[0].config.model.variant
    return len(names) + 1 if row.reference else names.index(variant) if variant in names else len(names)


def _cell(column: Column, group: Sequence[Scored], units: str, like: Scored) -> Cell | None:
    held = [(run, name) for run in group if (name := column.of(run)) is not None]
    values = [value for run, name in held if (value := run.value(name, units, like)) is not None]
    if not values:
        return None
    return Cell(held[0][1], held[0][0].kind(held[0][1]), over_seeds(values))


def _ranked(
    column: Column, groups: Sequence[Sequence[Scored]], cells: Sequence[Cell | None], units: str
) -> tuple[list[Cell | None], str]:
    """The cells of a column with what is behind the first, and the first marked where it is ahead of every other.

    The first is best only if each of its comparisons is significant: all have to be, so that none needs a correction
    for their number, and a false best is no more frequent than a false comparison of two equal models.
    """
    there = [at for at, cell in enumerate(cells) if cell is not None]
    if len(there) < 2:
        return list(cells), ""
    sign = -1 if units == "bits" else 1
    first = max(there, key=lambda at: sign * cells[at].mean.value)  # type: ignore[union-attr]
    found, remark, ahead = list(cells), "", True
    for at in there:
        if at == first:
            continue
        differences, sequences, seeds = paired_differences(column, groups[first], groups[at])
        tested = compare(differences, sequences) if len(differences) else None
        if not len(differences):
            remark = "rows without a common seed and test sequence are not compared"
        cell, top = cells[at], cells[first]
        assert cell is not None
        assert top is not None
        # What lies below is a bound, and may be a bound on more than the exact number above.
        open_ = top.kind is Kind.EXACT and cell.kind is Kind.BOUND
        over_seeds_ = over_trainings(seeds)
        ahead &= tested is not None and tested.significant and not open_
        ahead &= bool(seeds) and sum(seeds) > 0 and (over_seeds_ is None or over_seeds_ < LEVEL)
        found[at] = Cell(cell.estimate, cell.kind, cell.mean, behind=tested, behind_p=over_seeds_)
    best = found[first]
    assert best is not None
    found[first] = Cell(best.estimate, best.kind, best.mean, best=ahead)
    return found, remark


def paired_differences(
    column: Column, first: Sequence[Scored], second: Sequence[Scored]
) -> tuple[np.ndarray, list[str], list[float]]:
    """Nats of one row less those of another, of the same sequences and seeds.

    Returns:
        The differences ``(n,)``, the names of their sequences, and the mean difference of each seed.
    """
    others = {run.seed: run for run in second}
    differences, sequences, seeds = [], [], []
    for run in first:
        other = others.get(run.seed)
        if other is None or (a := column.of(run)) is None or (b := column.of(other)) is None:
            continue
        theirs: Mapping[str, int] = {name: at for at, name in enumerate(other.sequences)}
        both = [(at, theirs[name]) for at, name in enumerate(run.sequences) if name in theirs]
        if not both:
            continue
        mine, yours = np.asarray(both).T
        found = run.nats[a][mine] - other.nats[b][yours]
        differences.append(found)
        sequences += [run.sequences[at] for at in mine]
        seeds.append(float(found.mean()))
    return (np.concatenate(differences) if differences else np.empty(0)), sequences, seeds


def _yardsticks(runs: Sequence[Scored], columns: Sequence[Column], units: str, like: Scored) -> list[Row]:
    """Rows of what is no model: one number a seed, in the first column."""
    by_seed = {run.seed: run for run in runs}
    rows = []
    for name in REFERENCES:
        held = [run for run in runs if name in run.results["results"]]
        held = list({run.seed: run for run in held}.values())
        values = [value for run in held if (value := run.value(name, units, like)) is not None]
        if values:
            cell = Cell(name, held[0].kind(name), over_seeds(values))
            rows.append(Row(name, held, [cell, *[None] * (len(columns) - 1)], reference=True))
    packed = [run for run in by_seed.values() if run.results.get("compressions")]
    for name in packed[0].results["compressions"] if packed and units == "bits" else ():
        values = [run.results["compressions"][name]["bits_per_sample"] for run in packed]
        cell = Cell(name, Kind.EXACT, over_seeds(values))
        rows.append(Row(name, packed, [cell, *[None] * (len(columns) - 1)], reference=True))
    return rows
