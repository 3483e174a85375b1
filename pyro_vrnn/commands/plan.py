"""What a grid is planned to be: its axes, what all cells share, and each cell as a piece of work."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyro_vrnn.ablation import grid as grids
from pyro_vrnn.ablation.work import Task
from pyro_vrnn.commands.cell_words import fit_words, option_words, tag_words, without
from pyro_vrnn.data import DataOptions
from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.model.own import TRUST
from pyro_vrnn.tracking import TrackedRun
from pyro_vrnn.training.config import Config, read
from pyro_vrnn.training.identity import WHERE, identity


@dataclass(frozen=True)
class Plan:
    """A grid before anything is begun.

    Attributes:
        axes: What changes from cell to cell.
        config: A stored configuration, under all cells.
        given: Options that all cells share, by room.
        settings: ``room.name=value`` that all cells share.
    """

    axes: Sequence[grids.Axis]
    config: Path | None
    given: Mapping[str, Mapping[str, Any]]
    settings: Sequence[str]

    def configure(self, more: Sequence[str] = ()) -> Config:
        """What all cells share, and more of it."""
        return read(self.config, self.given, (*self.settings, *more))

    def cells(self, skip_senseless: bool) -> tuple[list[grids.Cell], list[grids.Refused]]:
        """The cells, and the combinations that are left out.

        Raises:
            ConfigurationError: If combinations make no sense, and are not to be left out.
        """
        cells, refused = grids.expand(self.axes, self.configure)
        if refused and (not skip_senseless or not cells):
            advice = "" if not cells else "; mend the grid, or pass --skip-senseless to leave such cells out"
            raise ConfigurationError(
                f"{len(refused)} of {len(refused) + len(cells)} cells make no sense. "
                f"{grids.label(refused[0].values)}: {refused[0].reason}{advice}"
            )
        return cells, refused

    def words(self, cell: grids.Cell) -> list[str]:
        """Arguments of ``fit`` that make a cell's run, which ends without a report unless that was asked for."""
        words = fit_words(self.axes, cell, self.given, self.config, self.settings)
        return words if self.configure().tracking.report is not None else [*words, "--no-report"]

    def tasks(
        self,
        cells: Sequence[grids.Cell],
        checksums: Mapping[DataOptions, str],
        parent: TrackedRun,
        tags: Mapping[str, str],
        *,
        anywhere: bool = False,
    ) -> list[Task]:
        """The cells as they are handed to a launcher.

        Args:
            cells: Some of the plan's.
            checksums: Of their data.
            parent: The grid's own run.
            tags: Of every cell, beside its values.
            anywhere: Whether a finished run counts under whatever parent it stands.
        """
        own = self.configure().tracking.tags or {}
        where = {name: value for name, value in self.given.get("training", {}).items() if name in WHERE}
        anew = option_words({"training": where})
        found = []
        for cell in cells:
            all_tags = {**own, **cell.values, **tags}
            words = [*without(self.words(cell), "--tracking-uri"), "--parent", parent.id, *tag_words(all_tags)]
            found.append(
                Task(
                    label=cell.label,
                    identity=identity(cell.config, checksums[cell.config.data]),
                    tags=all_tags,
                    fit=words,
                    anew=anew,
                    uri=parent.uri,
                    experiment=parent.experiment,
                    parent=parent.id,
                    folder=parent.folder / "cells",
                    directory=Path.cwd(),
                    # By the environment: an address may hold a password, and everybody sees a process's arguments.
                    environment={"MLFLOW_TRACKING_URI": parent.uri, TRUST: os.environ.get(TRUST, "")},
                    anywhere=anywhere,
                )
            )
        return found

    @property
    def extent(self) -> str:
        """``variant 3, seed 3``."""
        return ", ".join(f"{each.name} {len(each.values)}" for each in self.axes)
