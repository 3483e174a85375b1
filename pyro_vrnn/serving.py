"""A trained model as MLflow serves it: sequences in, log-likelihoods out.

A logged model names this module, and MLflow calls its ``_load_pyfunc`` with a folder: no code is stored there.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from pyro_vrnn import __version__
from pyro_vrnn.data import Normaliser
from pyro_vrnn.errors import DataError
from pyro_vrnn.inference.estimators import Batch, estimate
from pyro_vrnn.inference.pieces import STEPS
from pyro_vrnn.inference.results import Scale
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.tracking import ModelRecord
from pyro_vrnn.training.saving import TrainedModel, load_model

if TYPE_CHECKING:
    from pandas import DataFrame  # type: ignore[import-untyped]

#: K where nothing was asked, as ``score`` has it.
PARTICLES = 40

OUTPUTS = {"log_likelihood": "double", "per_frame": "double", "frames": "long", "estimator": "string", "kind": "string"}


class Scorer:
    """Log-likelihoods of sequences, as :func:`~pyro_vrnn.inference.estimators.estimate` gives them.

    Args:
        trained: The model.
    """

    def __init__(self, trained: TrainedModel) -> None:
        self.trained = trained
        self.normaliser = Normaliser(trained.data["mean"], trained.data["std"])

    def predict(self, model_input: Mapping[str, Any], params: Mapping[str, Any] | None = None) -> "DataFrame":
        r"""Nats of each sequence, for standardised data, and what kind of number they are.

        Args:
            model_input: ``frames``, ``(N, T, X)``: values as in the source (samples, offsets), padded at the end with
                anything; ``lengths``, ``(N,)``: how many of a sequence's T frames are its own.
            params: ``estimator``, ``particles`` and ``seed``; the row of a sequence decides its noise.

        Returns:
            ``log_likelihood``, ``per_frame`` and ``frames``, ``estimator`` and ``kind``, a row a sequence.

        Raises:
            DataError: If the arrays do not fit each other or the model, or hold what is no number.
            ConfigurationError: If the estimator has no meaning for the model.
        """
        import pandas

        net, asked = (
            self.trained.net,
            {**defaults(self.trained.net, self.trained.config.training.seed), **(params or {})},
        )
        x, lengths = self._checked(model_input)
        found = estimate(
            net,
            _batches(x, lengths),
            str(asked["estimator"]),
            particles=int(asked["particles"]),
            scale=Scale(x.shape[-1]),
            seed=int(asked["seed"]),
        )
        columns = {"log_likelihood": found.nats, "per_frame": found.nats / found.frames, "frames": found.frames}
        return pandas.DataFrame({**columns, "estimator": found.name, "kind": found.kind.label})

    def _checked(self, given: Mapping[str, Any]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        width = int(self.trained.data["frame"])
        frames, lengths = np.asarray(given["frames"], np.float32), np.asarray(given["lengths"]).reshape(-1)
        if frames.ndim != 3 or frames.shape[-1] != width or 0 in frames.shape:
            raise DataError(f"frames of shape {frames.shape}: expected (sequences, frames, {width})")
        if len(lengths) != len(frames) or not ((lengths >= 1) & (lengths <= frames.shape[1])).all():
            raise DataError(f"lengths {lengths.tolist()}: expected {len(frames)} numbers from 1 to {frames.shape[1]}")
        own = np.arange(frames.shape[1]) < lengths[:, None]
        if not np.isfinite(frames[own]).all():
            raise DataError("frames hold what is no finite number; leave those sequences out")
        x = np.where(own[..., None], self.normaliser.standardise(frames), 0).astype(np.float32)
        return x, lengths.astype(np.int64)


def defaults(net: VRNN, seed: int) -> dict[str, Any]:
    """What a prediction takes where nothing is asked: what ``score`` does."""
    return {"estimator": "smc" if net.has_latents else "exact", "particles": PARTICLES, "seed": seed}


def model_record(
    trained: TrainedModel, folder: Path, name: str, tags: Mapping[str, str], dataset: tuple[str, str] | None
) -> ModelRecord:
    """A model for MLflow, with what it takes and gives.

    Args:
        trained: The model.
        folder: Where it lies.
        name: What it is called.
        tags: Of the model.
        dataset: Name and digest of the test set.
    """
    model, width = trained.config.model, int(trained.data["frame"])
    kinds = {"estimator": "string", "particles": "long", "seed": "long"}
    usual = defaults(trained.net, trained.config.training.seed)
    facts = {key: str(value) for key, value in model.model_dump(exclude_none=True).items()}
    return ModelRecord(
        name=name,
        folder=str(folder.absolute()),
        loader=__name__,
        requirements=[f"pyro-vrnn=={__version__}"],
        inputs={"frames": ("float32", (-1, -1, width)), "lengths": ("int64", (-1,))},
        outputs=OUTPUTS,
        parameters={key: (kind, usual[key]) for key, kind in kinds.items()},
        example={"frames": _example(trained, width), "lengths": [3, 2]},
        facts=facts,
        tags=tags,
        dataset=dataset,
    )


def _example(trained: TrainedModel, width: int) -> list[Any]:
    """Two sequences of mean values, the second padded."""
    frames = np.broadcast_to(np.asarray(trained.data["mean"], np.float64), (2, 3, width))
    return frames.tolist()


def _batches(x: NDArray[np.float32], lengths: NDArray[np.int64]) -> Iterator[Batch]:
    rows = max(1, STEPS // x.shape[1])
    for first in range(0, len(x), rows):
        most = int(lengths[first : first + rows].max())
        mask = torch.arange(most) < torch.from_numpy(lengths[first : first + rows])[:, None]
        yield torch.from_numpy(x[first : first + rows, :most]), mask, torch.arange(first, first + len(mask))


def _load_pyfunc(path: str) -> Scorer:
    """What MLflow calls."""
    return Scorer(load_model(Path(path)))
