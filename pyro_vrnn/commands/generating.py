"""What ``generate`` does: load, draw, write."""

import io
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyro_vrnn.commands import display
from pyro_vrnn.commands.subject import open_model, subject_of
from pyro_vrnn.data.writing import clipped, restored, wav_file
from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.inference import generation
from pyro_vrnn.inference.generation import Generated
from pyro_vrnn.tracking import tracking_uri
from pyro_vrnn.training.files import one_line, whole_file, write_whole
from pyro_vrnn.training.saving import TrainedModel

#: Where nothing is asked for: seconds of sound, frames of what has no rate.
SECONDS, FRAMES = 2.0, 400
MEANING = (
    "log-likelihoods in nats of the drawn, fed-back and unrounded frames, standardised, without temperatures:"
    " log_prior is log p(z | x before), log_emission log p(x | z, x before), their sum log p(x, z) of this very z,"
    " which is not log p(x); of a reconstruction they are those of the recording and its latents"
)


@dataclass(frozen=True)
class Request:
    """What was asked for; names are those of the options."""

    count: int = 8
    seconds: float | None = None
    frames: int | None = None
    prime: str | None = None
    prime_seconds: float | None = None
    temperature_z: float = 1.0
    temperature_x: float = 1.0
    write: str = "sample"
    reconstruct: str | None = None
    interpolate: tuple[str, str] | None = None
    hold: str | None = None
    seed: int = 0

    @property
    def use(self) -> str:
        """What the files are named after."""
        for name, word in (("reconstruct", "reconstructed"), ("interpolate", "interpolated"), ("hold", "held")):
            if getattr(self, name):
                return word
        return "continued" if self.prime else "generated"


def run(reference: str, given: dict[str, dict[str, Any]], request: Request, *, out: Path, device: str) -> None:
    """Writes what a model makes.

    Args:
        reference: A run or a model folder.
        given: Options by room.
        request: What is made.
        out: The folder.
        device: Where.

    Raises:
        UserError: Anything a user can mend.
    """
    if out.exists() and not out.is_dir():
        raise ConfigurationError(f"--out {out}: a file; expected the name of a folder")
    trained, _ = open_model(reference, tracking_uri(given.get("tracking", {}).get("uri")), device)
    rows, pieces, lead = _made(trained, request)
    with one_line(out):
        out.mkdir(parents=True, exist_ok=True)
    kind = trained.data.get("kind") or "audio"
    title = f"pyro_vrnn {reference} {request.use}, seed {request.seed}"
    comment = (
        f"{request.write}: " + ("frames as drawn" if request.write == "sample" else "means of the emission, no draws")
        + f"; temperature_z {request.temperature_z:g}, temperature_x {request.temperature_x:g}"
    )  # fmt: skip
    if lead is not None:
        comment += f"; the first {lead.shape[-2]} frames are the recording"
    files = (_write_sound if kind == "audio" else _write_rows)(
        trained, request, out, rows, pieces, lead, title, comment
    )
    told = {
        "run": reference, "kind": kind, "use": request.use, "seed": request.seed, "write": request.write,
        "temperature_z": request.temperature_z, "temperature_x": request.temperature_x,
        "recordings": [name for name in (request.prime, request.reconstruct, request.hold) if name]
        + list(request.interpolate or ()),
        "sample_rate": trained.data["sample_rate"], "frame": trained.data["frame"], "meaning": MEANING, "files": files,
    }  # fmt: skip
    write_whole(out / "generation.json", (json.dumps(told, indent=2) + "\n").encode())
    console = display.console()
    console.print(f"{out}: {rows} {request.use}, {comment}")
    over = sum(file.get("clipped_samples", 0) for file in files)
    if over:
        console.print(f"warning: {over} samples beyond full scale were clipped")


def _made(trained: TrainedModel, request: Request) -> tuple[int, Iterator[Generated], NDArray[np.float64] | None]:
    """How many, pieces of all of them, and the recording they go on from."""
    net, seed = trained.net, request.seed
    if request.reconstruct:
        return 1, generation.reconstruct(net, _recording(trained, request.reconstruct, seed), seed=seed), None
    if request.interpolate:
        ends = (_recording(trained, name, seed) for name in request.interpolate)
        return request.count, generation.interpolate(net, *ends, count=request.count, seed=seed), None
    frames = _frames(trained, request.seconds, request.frames)
    if request.hold:
        x = _recording(trained, request.hold, seed)
        return request.count, generation.hold(net, x, frames, count=request.count, seed=seed), None
    past, lead = None, None
    if request.prime:
        x = _recording(trained, request.prime, seed)
        if request.prime_seconds is not None:
            x = x[:, : _frames(trained, request.prime_seconds, None, "--prime-seconds")]
        past, lead = generation.prime(net, x, seed=seed), restored(x[0], trained.data)
    pieces = generation.generate(
        net, frames, request.count, seed=seed, past=past,
        temperature_z=request.temperature_z, temperature_x=request.temperature_x,
    )  # fmt: skip
    return request.count, pieces, lead


def _frames(trained: TrainedModel, seconds: float | None, frames: int | None, flag: str = "--seconds") -> int:
    rate = trained.data["sample_rate"]
    if frames is not None:
        return frames
    if rate is None:
        if seconds is not None:
            raise ConfigurationError(f"{flag} {seconds:g}: these data have no rate; say how long by --frames")
        return FRAMES
    return max(1, ceil((SECONDS if seconds is None else seconds) * rate / trained.data["frame"]))


def _recording(trained: TrainedModel, source: str, seed: int) -> Tensor:
    """Its frames, ``(1, T, X)``; of several the first."""
    undithered = {"dither": False} if trained.config.data.dither else {}
    sequences = subject_of(trained, {"source": source, **undithered}, seed=seed).sequences
    return torch.from_numpy(sequences[0])[None]


def _name(request: Request, row: int) -> str:
    return f"{request.use}-seed{request.seed}-{row:03d}-{request.write}"


def _values(trained: TrainedModel, request: Request, piece: Generated) -> NDArray[np.float64]:
    return restored((piece.x if request.write == "sample" else piece.mean).cpu(), trained.data)


class _Sums:
    """Log-likelihoods of each row, added up."""

    def __init__(self, rows: int) -> None:
        self.prior, self.emission = np.zeros(rows), np.zeros(rows)

    def add(self, piece: Generated) -> None:
        self.prior += piece.log_prior.double().sum(-1).numpy(force=True)
        self.emission += piece.log_emission.double().sum(-1).numpy(force=True)

    def of(self, row: int) -> dict[str, float]:
        prior, emission = float(self.prior[row]), float(self.emission[row])
        return {"log_prior": prior, "log_emission": emission, "log_joint": prior + emission}


def _write_sound(
    trained: TrainedModel, request: Request, out: Path, rows: int, pieces: Iterator[Generated],
    lead: NDArray[np.float64] | None, title: str, comment: str,
) -> list[dict[str, Any]]:  # fmt: skip
    """Sound is written as it is drawn: memory does not grow with its length."""
    sums, over = _Sums(rows), np.zeros(rows, int)
    names = [_name(request, row) + ".wav" for row in range(rows)]
    with one_line(out), ExitStack() as open_:
        files = [open_.enter_context(whole_file(out / name)) for name in names]
        rate = trained.data["sample_rate"]
        sounds = [open_.enter_context(wav_file(file, rate, title=title, comment=comment)) for file in files]
        if lead is not None:
            for sound in sounds:
                sound(lead)
        for piece in pieces:
            sums.add(piece)
            for row, values in enumerate(_values(trained, request, piece)):
                sounds[row](values)
                over[row] += clipped(values)
    return [{"file": name, "clipped_samples": int(over[row]), **sums.of(row)} for row, name in enumerate(names)]


def _write_rows(
    trained: TrainedModel, request: Request, out: Path, rows: int, pieces: Iterator[Generated],
    lead: NDArray[np.float64] | None, title: str, comment: str,
) -> list[dict[str, Any]]:  # fmt: skip
    """Arrays, and of a pen drawings of them."""
    sums, parts = _Sums(rows), []
    for piece in pieces:
        sums.add(piece)
        parts.append(_values(trained, request, piece))
    made = np.concatenate(parts, 1)
    files = []
    for row, values in enumerate(made):
        name = _name(request, row)
        values = values if lead is None else np.concatenate([lead, values])
        held = io.BytesIO()
        np.save(held, values)
        write_whole(out / f"{name}.npy", held.getvalue())
        if trained.data.get("kind") == "pen":
            from pyro_vrnn.figures import ink

            write_whole(out / f"{name}.svg", ink.svg(values, title=title, description=comment).encode())
            picture = io.BytesIO()
            ink.ink(values, title=f"{name}: {comment}").savefig(picture, format="png")
            write_whole(out / f"{name}.png", picture.getvalue())
        files.append({"file": f"{name}.npy", **sums.of(row)})
    return files
