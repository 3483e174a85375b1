"""An MLflow run as the place where things are delivered."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pyro_vrnn.tracking.delivery import Point
from pyro_vrnn.tracking.models import log_model
from pyro_vrnn.tracking.names import PARAMETER_LENGTH, TAG_LENGTH, Names, cut
from pyro_vrnn.tracking.outbox import Ending

if TYPE_CHECKING:
    from mlflow import MlflowClient

FAILURE = "failure"
DIGEST_LENGTH = 36
BATCH = 100  # MLflow's limit for parameters and tags

Item = TypeVar("Item")


@dataclass(frozen=True)
class DatasetRecord:
    """The data of a run.

    Attributes:
        name: What people call it.
        source: Where it was read from, a path or an address.
        digest: Its checksum; the first 36 characters are kept.
        context: What it was used for, as ``train``.
        profile: Anything worth knowing, as counts and durations.
    """

    name: str
    source: str
    digest: str
    context: str
    profile: Mapping[str, Any] = field(default_factory=dict)


class MlflowRun:
    """A run in a store. Every method may raise what MLflow raises."""

    def __init__(self, client: "MlflowClient", run: str) -> None:
        self.client = client
        self.run = run

    def points(self, points: Sequence[Point], tags: Mapping[str, str]) -> None:
        """Store at most 1000 points, and overwrite tags."""
        from mlflow.entities import Metric, RunTag

        self.client.log_batch(
            self.run,
            metrics=[Metric(*point) for point in points],
            tags=[RunTag(name, cut(value, TAG_LENGTH)) for name, value in tags.items()],
        )

    def artifact(self, path: Path, under: str) -> None:
        """Store a file or a folder, under its own name, in an artifact folder."""
        self.client.log_artifact(self.run, str(path), under or None)

    def image(self, path: Path, key: str, step: int) -> None:
        """Store a PNG so that the interface has a slider over the steps of its name."""
        from PIL import Image

        with Image.open(path) as image:
            self.client.log_image(self.run, image, key=key, step=step, synchronous=True)

    def model(self, path: Path) -> None:
        """Store the model that a file describes, in MLflow's own format, with its metrics."""
        log_model(self.client, self.run, path)

    def end(self, ending: Ending) -> None:
        """Set status and end time."""
        if ending.reason:
            self.client.set_tag(self.run, FAILURE, cut(ending.reason, TAG_LENGTH))
        self.client.set_terminated(self.run, ending.status, ending.time)

    def reopen(self) -> None:
        """Set the status back to RUNNING."""
        self.client.update_run(self.run, status="RUNNING")
        if FAILURE in self.client.get_run(self.run).data.tags:
            self.client.delete_tag(self.run, FAILURE)

    def describe(self, parameters: Mapping[str, object], datasets: Sequence[DatasetRecord]) -> None:
        """Store what a run starts from."""
        from mlflow.entities import Param

        names = Names("parameter")
        params = [Param(names[name], cut(str(value), PARAMETER_LENGTH)) for name, value in parameters.items()]
        for batch in _batches(params, BATCH):
            self.client.log_batch(self.run, params=batch)
        if datasets:
            self._inputs(datasets)

    def _inputs(self, datasets: Sequence[DatasetRecord]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        inputs = [
            DatasetInput(
                Dataset(
                    name=dataset.name,
                    digest=dataset.digest[:DIGEST_LENGTH],
                    source_type="local",
                    source=json.dumps({"uri": dataset.source}),
                    profile=json.dumps(dict(dataset.profile), default=str),
                ),
                [InputTag("mlflow.data.context", dataset.context)],
            )
            for dataset in datasets
        ]
        try:
            self.client.log_inputs(self.run, inputs)
        except Exception:
            # Two runs that are the first to name a data set collide: by now it is there, and is found.
            self.client.log_inputs(self.run, inputs)


def _batches(items: list[Item], size: int) -> Iterator[list[Item]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]
