"""Samples while a model trains: pictures whose slider in the interface runs over the steps."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pyro_vrnn.commands.picturing import made_samples
from pyro_vrnn.tracking import TrackedRun
from pyro_vrnn.training.files import write_whole
from pyro_vrnn.training.saving import TrainedModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: What the pictures are called in the store.
KEY = "samples"
#: Sequences in a picture; seconds of sounds, points of ink.
COUNT, SECONDS, POINTS = 3, 1.0, 200


class Snapshots:
    """A picture of samples before training and after epochs 1, 2, 4, 8, ...: a handful, however long it takes.

    Draws come from a generator of their own, so that a run computes the same with and without them.

    Args:
        trained: The model while it trains.
        tracked: The run that keeps the pictures.
        seed: Of the draws: the same for every picture.
    """

    def __init__(self, trained: TrainedModel, tracked: TrackedRun, seed: int) -> None:
        self.trained, self.tracked, self.seed = trained, tracked, seed
        self.kind = trained.data.get("kind", "audio")

    def epoch(self, epoch: int, step: int) -> None:
        """After an epoch; before the first one with 0. A run that goes on keeps the pictures that it had."""
        path = self.tracked.folder / "images" / f"{KEY}-{step:08d}.png"
        if epoch & (epoch - 1) or self.kind not in _DRAWN or path.exists():
            return
        drawn = made_samples(self.trained, COUNT, self._frames(), self.seed)["sample"]
        kept = [x for x in drawn if np.isfinite(x).all()]
        if not kept:
            return
        from pyro_vrnn.figures.files import png

        when = f"after epoch {epoch}, step {step}" if epoch else "before training"
        figure = _DRAWN[self.kind](kept, self.trained, f"samples {when}")
        path.parent.mkdir(exist_ok=True)
        write_whole(path, png(figure))
        self.tracked.image(path, KEY, step)

    def _frames(self) -> int:
        data = self.trained.data
        return POINTS if self.kind == "pen" else max(1, round(SECONDS * data["sample_rate"] / data["frame"]))


def _sounds(drawn: list[NDArray[np.float64]], trained: TrainedModel, title: str) -> "Figure":
    from pyro_vrnn.figures.sound import waves

    rows = {f"sample {k}": np.clip(x, -1, 1).reshape(-1) for k, x in enumerate(drawn, 1)}
    return waves(rows, int(trained.data["sample_rate"]), title)


def _inks(drawn: list[NDArray[np.float64]], trained: TrainedModel, title: str) -> "Figure":
    from pyro_vrnn.figures.handwriting import figure_4

    return figure_4({title: drawn}, "")


_DRAWN = {"audio": _sounds, "pen": _inks}
