"""One tracked run, from its start or its resumption to its end."""

import logging
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from pyro_vrnn.errors import TrackingError
from pyro_vrnn.tracking.courier import Courier
from pyro_vrnn.tracking.delivery import DELIVERED, Delivery, points_of
from pyro_vrnn.tracking.destination import DatasetRecord, MlflowRun
from pyro_vrnn.tracking.families import PARENT, parent_of
from pyro_vrnn.tracking.journal import Record
from pyro_vrnn.tracking.models import ModelRecord
from pyro_vrnn.tracking.names import TAG_LENGTH, Names, cut
from pyro_vrnn.tracking.outbox import Ending
from pyro_vrnn.tracking.records import FOLDER, RunRecord, find_run, own, working_folder
from pyro_vrnn.tracking.signals import Terminated, TerminationRaises
from pyro_vrnn.tracking.store import Store, explained, reason, shown

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger("pyro_vrnn.tracking")

Status = Literal["FINISHED", "FAILED", "KILLED"]


class TrackedRun:
    """A run that is being written. As a context manager it ends itself, whatever happens inside.

    Metrics go to a journal in :attr:`folder`; a thread delivers what is final (:mod:`pyro_vrnn.tracking.delivery`).
    After the start nothing that happens to the store stops the run. Use :meth:`start` or :meth:`resume`.

    Attributes:
        id: MLflow's.
        name: Its name.
        experiment: The experiment's name.
        experiment_id: MLflow's.
        uri: The store.
        folder: The local working folder, for the journal, checkpoints and whatever else.
    """

    def __init__(self, client: "MlflowClient", record: RunRecord, folder: Path) -> None:
        self.id, self.name, self.uri = record.id, record.name, record.uri
        self.experiment, self.experiment_id = record.experiment, record.experiment_id
        self.folder = folder
        self._owner = own(folder, self.name)
        self._destination = MlflowRun(client, self.id)
        self._delivery = Delivery.of(folder, self._destination)
        self._journal, self._outbox = self._delivery.journal, self._delivery.outbox
        self._courier = Courier(self._delivery.hand_over, lambda: self._outbox.delivered, self._warning)
        self._names = Names("metric")
        self._signals = TerminationRaises()
        self._process = os.getpid()
        self._waiting_since: float | None = None
        self._ended = False

    @classmethod
    def start(
        cls,
        *,
        uri: str,
        experiment: str,
        name: str,
        parameters: Mapping[str, object],
        tags: Mapping[str, str],
        datasets: Sequence[DatasetRecord] = (),
        parent: str | None = None,
    ) -> "TrackedRun":
        """Start a new run; if that fails midway, nothing of it stays visible.

        Args:
            uri: The store; an embedded one is made if it does not exist.
            experiment: The experiment's name; made if it does not exist.
            name: The run's name.
            parameters: What was chosen. Values over 6000 characters are cut.
            tags: What else to know, and to group by.
            datasets: The data, each part with its context.
            parent: A run of the same experiment that the interface shows this one under.

        Raises:
            TrackingError: If the store cannot be used, or there is no such parent.
        """
        store = Store.at(uri)
        client = store.open(create=True)
        names = Names("tag")
        labels = {names[key]: cut(value, TAG_LENGTH) for key, value in tags.items()}
        if parent is not None:
            labels[PARENT] = parent_of(experiment, parent, uri)
        with explained(store.uri, "starting a run"):
            experiment_id = _experiment(client, store, experiment)
            run = client.create_run(experiment_id, tags=labels, run_name=name)
            folder = store.folder(run.info.run_id)
            try:
                folder.mkdir(parents=True)
                MlflowRun(client, run.info.run_id).describe(parameters, datasets)
                client.set_tag(run.info.run_id, FOLDER, str(folder))
                return cls(client, RunRecord.of(run, experiment, store.uri), folder)
            except BaseException:
                with suppress(Exception):
                    client.delete_run(run.info.run_id)
                shutil.rmtree(folder, ignore_errors=True)
                raise

    @classmethod
    def resume(cls, reference: str, *, uri: str) -> "TrackedRun":
        """Go on with a run, whose status is RUNNING again. Call :meth:`rewind` before logging.

        Args:
            reference: Its id, a unique prefix of that, or its name.
            uri: The store.

        Raises:
            TrackingError: If there is no such run or it is being written at this moment.
        """
        store = Store.at(uri)
        record = find_run(reference, uri=uri)
        folder = working_folder(record, store)
        client = store.open()
        with explained(store.uri, f"resuming run {record.name}"):
            folder.mkdir(parents=True, exist_ok=True)
            run = cls(client, record, folder)
        try:
            # The journal may have stayed on another machine: the store knows too how far it was delivered.
            with run._outbox.change():
                run._outbox.step = max(run._outbox.step, int(record.tags.get(DELIVERED, -1)))
                run._outbox.ending = None
            with explained(store.uri, f"resuming run {record.name}"):
                run._destination.reopen()
        except BaseException:
            run._release()
            raise
        return run

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append metrics to the journal: microseconds, whatever the store does.

        Log all there is to say of a step before :meth:`checkpointed` of it. What is not finite stays in the journal.
        """
        values = {self._names[name]: float(value) for name, value in metrics.items()}
        try:
            self._journal.append(Record(time.time_ns() // 1_000_000, int(step), values))
        except OSError as error:
            raise self._unwritable(error) from error
        if self._waiting_since is None:
            self._waiting_since = time.monotonic()
            self._courier.start()

    @property
    def waiting(self) -> float:
        """For how many seconds metrics have been waiting for a checkpoint; a loop may see from it that one is due."""
        return 0.0 if self._waiting_since is None else time.monotonic() - self._waiting_since

    def checkpointed(self, step: int) -> None:
        """A checkpoint of this step is on disk: what was logged up to it is final, and will be delivered."""
        start = max(self._outbox.final or 0, self._outbox.delivered)
        try:
            self._journal.sync()
            with self._outbox.change():
                self._outbox.final = self._journal.position(step, start)
        except OSError as error:
            raise self._unwritable(error) from error
        self._waiting_since = None if self._outbox.final == self._journal.size else time.monotonic()
        self._courier.start()

    def rewind(self, step: int) -> None:
        """Go back to the checkpoint of this step: what was logged for later ones is forgotten.

        Raises:
            TrackingError: If later steps are in the store already, which gives nothing up.
        """
        try:
            possible = self._delivery.rewind(step)
        except OSError as error:
            raise self._unwritable(error) from error
        if not possible:
            raise TrackingError(
                f"run {self.name}: cannot go back to step {step}, its history is stored up to step "
                f"{self._outbox.step}. Resume from a checkpoint of that step or a later one, or start a new run"
            )
        self._waiting_since = None

    def deliver(self, *, wait: bool = False) -> bool:
        """Deliver what is final now and not within seconds.

        Returns:
            With ``wait``, whether all of it is in the store.
        """
        if wait:
            return self._courier.wait()
        self._courier.ask()
        return False

    def artifact(self, path: Path, under: str = "") -> None:
        """Store a file or a folder under its own name. If the store refuses, it is tried again with each delivery.

        Args:
            path: The file or folder.
            under: The artifact folder it goes into.

        Raises:
            TrackingError: If there is nothing at ``path``.
        """
        if not path.exists():
            raise TrackingError(f"{path}: no such file to keep with run {self.name}")
        if self._courier.failure is None:
            try:
                self._destination.artifact(path, under)
                return
            except Exception as error:
                logger.warning("%s", self._warning(error))
        with self._outbox.change():
            self._outbox.artifacts.append((str(path.absolute()), under))
        self._courier.start()

    def image(self, path: Path, key: str, step: int) -> None:
        """Have a PNG delivered as what was seen at a step; returns at once, whatever the store does.

        Args:
            path: The file, which has to stay.
            key: What it shows: pictures of one name share a slider over their steps.
            step: The optimiser step.
        """
        with self._outbox.change():
            self._outbox.images.append((str(path.absolute()), key, step))
        self._courier.start()

    def model(self, model: ModelRecord, prefix: str) -> None:
        """Store a model in MLflow's own format. If the store refuses, it is tried again with each delivery.

        Args:
            model: The model.
            prefix: What was logged last under names that begin so is what the model is linked with.
        """
        latest = self._journal.last
        points = [] if latest is None else [p for p in points_of(latest) if p.name.startswith(prefix)]
        path = self.folder / "logged-model.json"
        model.write(path, points)
        if self._courier.failure is None:
            try:
                self._destination.model(path)
                return
            except Exception as error:
                logger.warning("%s", self._warning(error))
        with self._outbox.change():
            if str(path.absolute()) not in self._outbox.models:
                self._outbox.models.append(str(path.absolute()))
        self._courier.start()

    def finish(self, status: Status = "FINISHED", reason: str = "") -> None:
        """End the run: deliver what is final, then set the status. Without effect on a run that has ended.

        All of a FINISHED run is final, and all of one that has no checkpoint to go back to.

        Args:
            status: FINISHED, FAILED or KILLED.
            reason: Why, as the tag ``failure``.
        """
        if self._ended:
            return
        self._ended = True
        with suppress(OSError), self._outbox.change():  # on a full disk the store may still hear of it
            if status == "FINISHED" or self._outbox.final is None:
                self._outbox.final = self._journal.size
            self._outbox.ending = Ending(status, time.time_ns() // 1_000_000, reason)
        complete = self._courier.wait()
        self._courier.close()
        self._release()
        if not complete:
            logger.warning(
                "run %s: %s did not take everything; the rest waits in %s and goes with `fit --resume %s`",
                *(self.name, shown(self.uri), self.folder, self.name),
            )

    def __enter__(self) -> "TrackedRun":
        self._signals.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if os.getpid() != self._process:  # a forked worker that left through this block
            return
        try:
            if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
                self.finish()
            elif isinstance(error, KeyboardInterrupt | Terminated):
                self.finish("KILLED")
            else:
                self.finish("FAILED", f"{type(error).__name__}: {reason(error)}")
        finally:
            self._signals.__exit__(kind, error, trace)

    def _release(self) -> None:
        self._journal.close()
        self._owner.release()

    def _warning(self, error: Exception) -> str:
        return (
            f"run {self.name}: {shown(self.uri)} takes nothing at the moment ({reason(error)}); training goes on, "
            f"the history is kept in {self.folder} and delivered later"
        )

    def _unwritable(self, error: OSError) -> TrackingError:
        return TrackingError(f"the working folder {self.folder} cannot be written: {reason(error)}. Is the disk full?")


def _experiment(client: "MlflowClient", store: Store, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name, artifact_location=store.artifacts(name))
        except Exception:  # another process may have been first
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        raise TrackingError(
            f"experiment {name!r} was deleted; expected one in use. Take another name, or bring it back: "
            f"mlflow experiments restore --experiment-id {found.experiment_id}"
        )
    return found.experiment_id
