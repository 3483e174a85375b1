"""What ``score`` does: load, read, score frame by frame, write."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyro_vrnn.commands import display
from pyro_vrnn.commands.subject import (
    PLACES,
    TIME,
    Counter,
    Subject,
    Told,
    blocks,
    check_file,
    open_model,
    progress,
    subject_of,
)
from pyro_vrnn.commands.tables import TableWriter, write_table
from pyro_vrnn.inference.encode import FrameScores, frame_estimator, score_frames
from pyro_vrnn.inference.estimators import ESTIMATORS
from pyro_vrnn.inference.results import PEN, Estimate, Scale
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.tracking import tracking_uri


def run(
    reference: str,
    given: dict[str, dict[str, Any]],
    *,
    out: Path,
    name: str | None,
    particles: int,
    seed: int | None,
    device: str,
) -> Estimate:
    """Scores the frames of recordings.

    Args:
        reference: A run or a model folder.
        given: Options by room; ``data.source`` is what is scored.
        out: The table of frames; that of sequences goes beside it.
        name: The estimator; None for the one that fits the model.
        particles: K.
        seed: Of the noise; None for the seed of the run.
        device: Where.

    Returns:
        The sequences' scores.

    Raises:
        UserError: Anything a user can mend.
    """
    beside = out.with_suffix(f".sequences{out.suffix}")
    columns = {**PLACES, **TIME, "nats": np.float64, "bits_per_sample": np.float64}
    for path in (out, beside):
        check_file("--out", path)
        TableWriter(path, columns)  # sees to the ending
    console = display.console()
    trained, _ = open_model(reference, tracking_uri(given.get("tracking", {}).get("uri")), device)
    net = trained.net
    name = name or ("smc" if net.has_latents else "exact")
    frame_estimator(net, name)
    seed = trained.config.training.seed if seed is None else seed
    with progress(console) as told:
        subject = subject_of(trained, given["data"], seed=seed, told=told)
        columns = {**subject.place_columns, "nats": np.float64}
        if subject.scale.std_lsb is not None:
            columns["bits_per_sample"] = np.float64
        if name == "smc":
            columns["ess"] = np.float64
        if net.binary and name != "smc":
            columns["pen"] = np.float64
        nats, pen = np.zeros((2, len(subject.sequences)))
        with TableWriter(out, columns) as table:
            for block in blocks(_scored(net, subject, name, particles, seed, told)):
                for part in block:
                    nats[part.sequence] += part.nats.sum()
                    pen[part.sequence] += 0.0 if part.pen is None else part.pen.sum()
                table.write(_rows(subject, block))
            full = f"{name}_{particles}" if ESTIMATORS[name].particles else name
            details = {PEN: pen} if "pen" in columns else {}
            lengths, kind = subject.sequences.lengths, ESTIMATORS[name].kind
            found = Estimate(full, kind, nats, lengths, subject.scale, details=details)
            write_table(beside, _sequences(subject, found))
    console.print(display.results_table([found], subject.title))
    console.print(f"{out}: {found.frames.sum()} frames; {beside}: {len(nats)} sequences")
    return found


def _scored(net: VRNN, subject: Subject, name: str, particles: int, seed: int, told: Told) -> Iterator[FrameScores]:
    done = Counter(told, name, int(subject.sequences.lengths.sum()))
    for part in subject.in_order(lambda batches: score_frames(net, batches, name, particles=particles, seed=seed)):
        done(len(part.nats))
        yield part


def _rows(subject: Subject, block: list[FrameScores]) -> dict[str, NDArray[Any]]:
    rows = {**subject.places(block), "nats": np.concatenate([part.nats for part in block])}
    beside = {
        name: np.concatenate([getattr(part, name) for part in block])
        for name in ("ess", "pen")
        if getattr(block[0], name) is not None
    }
    bits = _bits((rows["nats"] - beside.get("pen", 0.0)) / subject.scale.width, subject.scale)
    return rows | ({} if bits is None else {"bits_per_sample": bits}) | beside


def _sequences(subject: Subject, found: Estimate) -> dict[str, Any]:
    per_frame = found.nats / found.frames
    pen = found.details.get(PEN)
    offsets = per_frame if pen is None else per_frame - pen / found.frames
    bits = _bits(offsets / subject.scale.width, subject.scale)
    return {
        "sequence": subject.names,
        "frames": found.frames,
        **({} if subject.seconds is None else {"seconds": subject.seconds}),
        "nats": found.nats,
        "nats_per_frame": per_frame,
        **({} if bits is None else {"bits_per_sample": bits}),
        **({} if pen is None else {"pen": pen}),
        "estimator": [found.name] * len(found.nats),
        "kind": [found.kind.label] * len(found.nats),
    }


def _bits(per_dimension: NDArray[np.float64], scale: Scale) -> NDArray[np.float64] | None:
    """As :attr:`~pyro_vrnn.inference.results.Estimate.bits_per_sample`, of many; None where no grid is known."""
    return None if scale.std_lsb is None else (math.log(scale.std_lsb) - per_dimension) / math.log(2)
