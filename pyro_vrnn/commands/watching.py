"""Who hears of every step and epoch of a training: the display, the tracked run, the pictures."""

from rich.console import Console

from pyro_vrnn.commands import display
from pyro_vrnn.commands.snapshots import Snapshots
from pyro_vrnn.errors import first_line
from pyro_vrnn.inference.results import Estimate
from pyro_vrnn.tracking import TrackedRun
from pyro_vrnn.training.checkpoint import Progress
from pyro_vrnn.training.loop import Trainer


class Watcher:
    """Tells the display and the tracked run."""

    def __init__(self, tracked: TrackedRun, mark: str, out: Console, snapshots: Snapshots | None) -> None:
        self.tracked, self.mark, self.out, self.snapshots = tracked, mark, out, snapshots

    def expect(self, trainer: Trainer) -> None:
        """Sets the bar's length."""
        self.shown = display.FitDisplay(self.out, trainer.epochs, trainer.steps, self.mark)

    def begin(self) -> None:
        """Before the first step of all. The interface's slider of pictures begins at step 0."""
        self._picture(0, 0)

    def step(self, progress: Progress, metrics: dict[str, float], frames: int) -> None:
        """After each optimiser step."""
        self.tracked.log(progress.step, metrics)
        self.shown.step(progress, metrics, frames)

    def epoch(self, progress: Progress, validation: Estimate, improved: bool) -> None:
        """After each epoch."""
        metrics = {f"validation/{name}": value for name, value in validation.metrics().items()}
        self.tracked.log(progress.step, {**metrics, "validation/best": progress.best, "epoch": progress.epoch})
        self.shown.epoch(progress, validation, improved)
        self._picture(progress.epoch, progress.step)

    def checkpointed(self, progress: Progress) -> None:
        """After each checkpoint."""
        self.tracked.checkpointed(progress.step)

    def _picture(self, epoch: int, step: int) -> None:
        if self.snapshots is None:
            return
        try:
            self.snapshots.epoch(epoch, step)
        except Exception as error:  # whatever it is: a picture is not worth a training
            self.snapshots = None
            self.out.print(f"no pictures of samples from here on: {first_line(error)}")
