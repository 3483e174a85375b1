"""Models in MLflow's own format: a folder of data, and the name of the module that loads it.

No code is stored with a model and nothing is pickled: MLflow imports the module from the installed package.
"""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

METRICS = 1000  # MLflow's limit for a batch


@dataclass(frozen=True)
class ModelRecord:
    """A model and what it takes and gives.

    Attributes:
        name: What the interface calls it.
        folder: Its files.
        loader: A module with ``_load_pyfunc(path)``, which MLflow calls with a copy of the folder.
        requirements: What has to be installed, as pip takes it.
        inputs: Arrays by name: type and shape, -1 where that is free.
        outputs: Columns by name: ``double``, ``string``, ``long``.
        parameters: Of a prediction: type and default.
        example: Inputs by name, as nested lists.
        facts: Parameters of the model in the interface.
        tags: Tags of the model in the interface.
        dataset: Name and digest of the data set that its metrics are of; one that the run has.
    """

    name: str
    folder: str
    loader: str
    requirements: Sequence[str]
    inputs: Mapping[str, tuple[str, Sequence[int]]]
    outputs: Mapping[str, str]
    parameters: Mapping[str, tuple[str, Any]]
    example: Mapping[str, Any]
    facts: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    dataset: tuple[str, str] | None = None

    def write(self, path: Path, points: Sequence[tuple[str, float, int, int]]) -> None:
        """Describe it in a file, with metrics that the run has already: name, value, time and step of each."""
        path.write_text(json.dumps({**asdict(self), "points": points}), encoding="utf-8")


def log_model(client: "MlflowClient", run: str, path: Path) -> None:
    """Store a described model under a run, with the metrics linked to it and to their data set.

    A run has one model: called again, it replaces what is there, so a call that was cut off is repeated.

    Args:
        client: Of the store.
        run: MLflow's id.
        path: What :meth:`ModelRecord.write` wrote.
    """
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus, Metric

    held = json.loads(path.read_bytes())
    points = held.pop("points")
    model = ModelRecord(**held)
    made = model_of(client, run)
    if made is None:
        experiment = client.get_run(run).info.experiment_id
        name = re.sub(r"[^\w\- ]+", "_", model.name)
        made = client.create_logged_model(experiment, name, run, dict(model.tags), dict(model.facts)).model_id
        step = max((step for *_, step in points), default=0)
        client.log_outputs(run, [LoggedModelOutput(made, step)])
    with TemporaryDirectory() as aside:
        folder = Path(aside) / "model"
        _write(folder, model, run, made)
        client.log_model_artifacts(made, str(folder))
    client.finalize_logged_model(made, LoggedModelStatus.READY)
    dataset: tuple[str | None, str | None] = model.dataset or (None, None)
    linked = [
        Metric(
            *point, model_id=made, dataset_name=dataset[0], dataset_digest=dataset[1], run_id=run
        )  # no second point of the run
        for point in points
    ]
    for first in range(0, len(linked), METRICS):
        client.log_batch(run, metrics=linked[first : first + METRICS])


def model_of(client: "MlflowClient", run: str) -> str | None:
    """MLflow's id of the model of a run; None if it has none."""
    outputs = client.get_run(run).outputs
    found = [] if outputs is None else outputs.model_outputs
    return found[0].model_id if found else None


def _write(folder: Path, model: ModelRecord, run: str, made: str) -> None:
    import numpy as np
    from mlflow import pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec

    chatter = logging.getLogger(pyfunc.__name__)  # a line that it looks at the example
    level = chatter.level
    chatter.setLevel(logging.WARNING)
    pyfunc.save_model(
        str(folder),
        loader_module=model.loader,
        data_path=model.folder,
        mlflow_model=Model(run_id=run, model_id=made),
        signature=ModelSignature(
            Schema([TensorSpec(np.dtype(kind), tuple(shape), name) for name, (kind, shape) in model.inputs.items()]),
            Schema([ColSpec(kind, name) for name, kind in model.outputs.items()]),
            ParamSchema([ParamSpec(name, kind, default) for name, (kind, default) in model.parameters.items()]),
        ),
        input_example={name: np.asarray(model.example[name], kind) for name, (kind, _) in model.inputs.items()},
        pip_requirements=list(model.requirements),  # MLflow would run the model to find out
    )
    chatter.setLevel(level)
