"""What ``generate`` does: load, draw, write as it is drawn, keep with the run."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyro_vrnn import __version__
from pyro_vrnn.commands import display
from pyro_vrnn.commands.generated_files import READ, WRITTEN, Files, files_of, points_of
from pyro_vrnn.commands.generation_options import Asked, frames_in
from pyro_vrnn.commands.progress import Counter, Told, progress
from pyro_vrnn.commands.subject import Subject, open_model, subject_of
from pyro_vrnn.data.writing import ROUNDING, restored, standardised
from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.inference import generation
from pyro_vrnn.inference.generation import Generated
from pyro_vrnn.tracking import find_run, log_results, tracking_uri
from pyro_vrnn.training.files import one_line, write_whole
from pyro_vrnn.training.saving import TrainedModel


def run(reference: str, given: dict[str, dict[str, Any]], asked: Asked) -> list[Path]:
    """Makes sequences and writes them.

    Args:
        reference: A run or a model folder.
        given: Options by room: of the store, and of how sources are read.
        asked: All others.

    Returns:
        The files.

    Raises:
        UserError: Anything a user can mend; of the files all are whole or none is there.
    """
    use = asked.use
    if asked.out.exists() and not asked.out.is_dir():
        raise ConfigurationError(f"--out {asked.out}: a file; expected the name of a folder")
    console = display.console()
    uri, label = tracking_uri(given.get("tracking", {}).get("uri")), asked.label
    trained, tracked = open_model(reference, uri, asked.device)
    if asked.temperature_z != 1 and not trained.net.has_latents:
        raise ConfigurationError("--temperature-z: the model has no latents; leave it out")
    _check_free(asked.out, reference, label)
    of_run = f"run {find_run(reference, uri=uri).name}, " if tracked else ""
    origin = f"pyro_vrnn {__version__}, {of_run}{trained.config.model.variant}"
    reading = given.get("data", {})
    with progress(console) as told:
        sources = _Sources(trained, reading, asked.seed, told)
        batches = list(USES[use](trained, asked, sources))
        with one_line(asked.out):
            asked.out.mkdir(parents=True, exist_ok=True)
        with ExitStack() as open_files:  # all of them are whole, or none is there
            made = [_write(trained, asked, batch, origin, told, open_files) for batch in batches]
    written = [path for files, _ in made for path in files.written()]
    said = [item for _, about in made for item in about]
    record = {
        "model": reference,
        "label": label,
        "variant": trained.config.model.variant,
        "data": trained.data["name"],
        "checksum": trained.data["checksum"],
        "version": __version__,
        "use": use,
        "seed": asked.seed,
        "temperature_z": asked.temperature_z,
        "temperature_x": asked.temperature_x,
        "log_likelihoods": "nats of the standardised frames and latents as drawn, at temperature 1, before rounding",
        "files": said,
    }
    written.append(asked.out / "generation.json")
    write_whole(written[-1], json.dumps(record, indent=1).encode())
    for item in said:
        nats = "" if item["log_joint"] is None else f"log p(x, z) = {item['log_joint']:.1f} nats, "
        if (real := item.get("log_joint_of_the_recording")) is not None:
            nats = f"log p(x, z) of the recording {real:.1f} nats, "
        console.print(f"{item['file']}: {item['frames']} frames, {nats}{item['written']}")
    if clips := sum(item.get("clipped", 0) for item in said):
        console.print(f"warning: {clips} samples are outside of [-1, 1) and were clipped")
    console.print(
        f"{len(written)} files in {asked.out}" + (f", kept with the run under generated/{label}/" if tracked else "")
    )
    if tracked:
        log_results(reference, {}, written, uri=uri, under=f"generated/{label}")
    return written


@dataclass(frozen=True)
class _Batch:
    """Sequences that are made side by side.

    Attributes:
        names: Of the files, without an ending.
        made: Pieces, standardised.
        first: What stands before them in the files, ``(t, X)``: a recording that they go on from.
        real: Whether these are the recordings themselves.
        frames: How long, without that.
    """

    names: list[str]
    made: Iterator[Generated]
    frames: int
    first: Tensor | None = None
    real: bool = False


def _check_free(out: Path, reference: str, label: str) -> None:
    """Sees that a folder holds no other call's files, which its ``generation.json`` describes."""
    path = out / "generation.json"
    if not path.exists():
        return
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        same = (held["model"], held["label"]) == (reference, label)
    except (OSError, ValueError, KeyError, TypeError):
        same = False
    if not same:
        raise ConfigurationError(f"--out {out}: holds what another call made; pass another folder")


def _write(
    trained: TrainedModel, asked: Asked, batch: _Batch, origin: str, told: Told, open_files: ExitStack
) -> tuple[Files, list[Any]]:
    """Draws a batch into files, which become whole when the stack is closed."""
    use, written = asked.use, asked.written
    what = "the recording itself" if batch.real else WRITTEN[written] + READ.get(use, "")
    names = [name if batch.real else f"{name}-{asked.label}" for name in batch.names]
    words = f"{origin}: {what}; {use}, seed {asked.seed}" + (
        "" if (asked.temperature_z, asked.temperature_x) == (1, 1)
        else f", temperatures z {asked.temperature_z:g}, x {asked.temperature_x:g}"
    )  # fmt: skip
    done = Counter(told, use, batch.frames)
    joint = np.zeros(len(names))
    files = files_of(trained.data.get("kind", "audio"), asked.out, names, [words] * len(names), trained.data)
    open_files.enter_context(files)
    if batch.first is not None:
        files.add(_values(batch.first.expand(len(names), *batch.first.shape), trained))
    for piece in _finite(batch.made):
        files.add(_values(piece.mean if written == "mean" and not batch.real else piece.x, trained))
        joint += (piece.log_prior + piece.log_emission).double().sum(-1).numpy(force=True)
        done(piece.x.shape[1])
    clips = getattr(files, "clipped", None)
    about = []
    for i, name in enumerate(names):
        nats = None if batch.real or not np.isfinite(joint[i]) else float(joint[i])
        item: dict[str, Any] = {"file": f"{name}{files.ending}", "written": what, "frames": batch.frames}
        # A reconstruction's densities are those of the real frames, which each step has read.
        item |= {"log_joint": None, "log_joint_of_the_recording": nats} if use == "reconstruct" else {"log_joint": nats}
        if batch.first is not None:
            item["frames_of_the_recording_before"] = len(batch.first)
        if clips is not None:
            item |= {"clipped": int(clips[i]), "rounding": ROUNDING}
        about.append(item)
    return files, about


def _finite(made: Iterator[Generated]) -> Iterator[Generated]:
    """Pieces, as long as they are finite.

    Raises:
        ConfigurationError: Else: of a model that has diverged, or at a temperature that float32 does not hold.
    """
    advice = (
        "the model makes values that are not finite; use a temperature nearer to 1, or a model that has not diverged"
    )
    try:
        for piece in made:
            if not (torch.isfinite(piece.x).all() and torch.isfinite(piece.mean).all()):
                raise ConfigurationError(advice)
            yield piece
    except RuntimeError as error:
        if "probability tensor" not in str(error):  # a mixture's choice among components with weights of NaN
            raise
        raise ConfigurationError(advice) from None


def _values(x: Tensor, trained: TrainedModel) -> NDArray[np.float64]:
    return restored(x.numpy(force=True), trained.data)


class _Sources:
    """Recordings by the name of their source, standardised as the model was trained."""

    def __init__(self, trained: TrainedModel, reading: dict[str, Any], seed: int, told: Told) -> None:
        self.trained, self.reading, self.seed, self.told = trained, reading, seed, told

    def __call__(self, source: str) -> Subject:
        given = {"dither": False, **self.reading, "source": source}  # what is read is heard again, as it is
        return subject_of(self.trained, given, seed=self.seed, told=self.told)

    def first(self, source: str) -> Tensor:
        """The first recording, ``(1, T, X)``; of a pen also one trace in a table of its points."""
        if self.trained.data.get("kind") == "pen" and Path(source).suffix == ".csv" and Path(source).is_file():
            return self._here(standardised(points_of(Path(source)), self.trained.data))
        return self.frames(self(source), 0)

    def frames(self, subject: Subject, i: int) -> Tensor:
        """Recording i, ``(1, T, X)``, where the model is."""
        return self._here(np.asarray(subject.sequences[i]))

    def _here(self, x: NDArray[Any]) -> Tensor:
        return torch.from_numpy(x)[None].to(next(self.trained.net.parameters()))


def _numbered(count: int) -> list[str]:
    return [f"{i:02d}" for i in range(count)]


def _generate(trained: TrainedModel, asked: Asked, sources: _Sources) -> Iterator[_Batch]:
    frames = asked.length(trained.data)
    first, past = None, None
    if asked.prime is not None:
        x = sources.first(asked.prime)
        if asked.prime_seconds is not None:
            if trained.data.get("kind", "audio") != "audio":
                raise ConfigurationError("--prime-seconds: these data have no rate; leave it out")
            x = x[:, : frames_in(asked.prime_seconds, trained.data)]
        past, first = generation.prime(trained.net, x, seed=asked.seed), x[0]
    made = generation.generate(
        trained.net, frames, asked.count, seed=asked.seed, past=past,
        temperature_z=asked.temperature_z, temperature_x=asked.temperature_x,
    )  # fmt: skip
    yield _Batch(_numbered(asked.count), made, frames, first)


def _reconstruct(trained: TrainedModel, asked: Asked, sources: _Sources) -> Iterator[_Batch]:
    assert asked.reconstruct is not None
    subject = sources(asked.reconstruct)
    for i in range(min(asked.count, len(subject.sequences))):
        x = sources.frames(subject, i)
        real = Generated(x, x, x[..., :0], *x.new_zeros(2, *x.shape[:2]))
        yield _Batch([f"{i:02d}-real"], iter([real]), x.shape[1], real=True)
        made = generation.reconstruct(trained.net, x, seed=asked.seed)
        yield _Batch([f"{i:02d}"], made, x.shape[1])


def _interpolate(trained: TrainedModel, asked: Asked, sources: _Sources) -> Iterator[_Batch]:
    assert asked.interpolate is not None
    x, other = map(sources.first, asked.interpolate)
    made = generation.interpolate(trained.net, x, other, count=asked.count, seed=asked.seed)
    yield _Batch(_numbered(asked.count), made, min(x.shape[1], other.shape[1]))


def _hold(trained: TrainedModel, asked: Asked, sources: _Sources) -> Iterator[_Batch]:
    assert asked.hold is not None
    frames = asked.length(trained.data)
    made = generation.hold(trained.net, sources.first(asked.hold), frames, count=asked.count, seed=asked.seed)
    yield _Batch(_numbered(asked.count), made, frames)


#: What is made, by the option that asks for it.
USES: dict[str, Callable[[TrainedModel, Asked, _Sources], Iterator[_Batch]]] = {
    "generate": _generate,
    "prime": _generate,
    "reconstruct": _reconstruct,
    "interpolate": _interpolate,
    "hold": _hold,
}
