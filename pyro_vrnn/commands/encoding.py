"""What ``encode`` does: load, read, infer frame by frame, write."""

import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any

import numpy as np

from pyro_vrnn.commands import display
from pyro_vrnn.commands.subject import (
    Counter,
    Subject,
    Told,
    blocks,
    check_file,
    open_model,
    progress,
    subject_of,
)
from pyro_vrnn.commands.tables import TableWriter
from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.inference.encode import Encoded, encode
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.tracking import tracking_uri
from pyro_vrnn.training.files import one_line, whole_file

#: Bytes of one sequence's array that are held; more wait in a temporary file for their place in the archive.
HELD = 2**23


def run(
    reference: str,
    given: dict[str, dict[str, Any]],
    *,
    out: Path,
    sampled: bool,
    seed: int | None,
    device: str,
) -> None:
    """Writes the latents and states of recordings.

    Args:
        reference: A run or a model folder.
        given: Options by room; ``data.source`` is what is encoded.
        out: ``.npz`` or ``.parquet``.
        sampled: Whether latents are drawn, instead of means.
        seed: Of the draws; None for the seed of the run.
        device: Where.

    Raises:
        UserError: Anything a user can mend.
    """
    write = WRITERS.get(out.suffix.lower())
    if write is None:
        raise ConfigurationError(
            f"--out {out}: expected a name in {' or '.join(WRITERS)}, which says how it is written"
        )
    check_file("--out", out)
    console = display.console()
    trained, _ = open_model(reference, tracking_uri(given.get("tracking", {}).get("uri")), device)
    net, seed = trained.net, trained.config.training.seed if seed is None else seed
    with progress(console) as told:
        subject = subject_of(trained, given["data"], seed=seed, told=told)
        write(out, subject, widths(net), _encoded(net, subject, sampled, seed, told))
    console.print(subject.title)
    held = ", ".join(f"{name} ({width})" for name, width in widths(net).items())
    console.print(f"{out}: {held} of {subject.sequences.lengths.sum()} frames")


def widths(net: VRNN) -> dict[str, int]:
    """Numbers a frame of each array."""
    latents = {"z": net.dims.z, "z_std": net.dims.z} if net.has_latents else {}
    return {**latents, "h": net.dims.h}


def _encoded(net: VRNN, subject: Subject, sampled: bool, seed: int, told: Told) -> Iterator[Encoded]:
    done = Counter(told, "encode", int(subject.sequences.lengths.sum()))
    for part in subject.in_order(lambda batches: encode(net, batches, sampled=sampled, seed=seed)):
        done(len(part.h))
        yield part


def write_rows(path: Path, subject: Subject, widths: dict[str, int], parts: Iterable[Encoded]) -> None:
    """A table with a row a frame, whose lists have a fixed size."""
    with TableWriter(
        path, {**subject.place_columns, **{name: (np.float32, width) for name, width in widths.items()}}
    ) as table:
        for block in blocks(parts):
            arrays = {name: np.concatenate([getattr(part, name) for part in block]) for name in widths}
            table.write({**subject.places(block), **arrays})


def write_archive(path: Path, subject: Subject, widths: dict[str, int], parts: Iterable[Encoded]) -> None:
    """An archive of arrays: NAME.z ``(T, Z)`` and so on of every sequence, and NAME.time ``(T,)`` if it has a rate.

    Members of an archive are written one after the other, and a piece of a long sequence holds some of each: they wait
    in temporary files.
    """
    lengths, each = subject.sequences.lengths, subject.seconds_per_frame
    timed = () if each is None else ("time",)
    with one_line(path), whole_file(path) as file, zipfile.ZipFile(file, "w") as archive, ExitStack() as waiting:
        held: dict[str, SpooledTemporaryFile[bytes]] = {}
        for part in parts:
            stop = part.start + len(part.h)
            if part.start == 0:
                waiting.close()
                held = {name: waiting.enter_context(SpooledTemporaryFile(HELD)) for name in (*widths, *timed)}
            for name in widths:
                held[name].write(np.ascontiguousarray(getattr(part, name), "<f4").data)
            if each is not None:
                held["time"].write((np.arange(part.start, stop) * each).astype("<f8").data)
            if stop == lengths[part.sequence]:
                for name, content in held.items():
                    shape = (stop, widths[name]) if name in widths else (stop,)
                    member = f"{subject.names[part.sequence]}.{name}.npy"
                    _add(archive, member, shape, "<f4" if name in widths else "<f8", content)


def _add(
    archive: zipfile.ZipFile, member: str, shape: tuple[int, ...], dtype: str, content: SpooledTemporaryFile[bytes]
) -> None:
    """A member in NumPy's format. Its date is that of no day, so that the same arrays are the same bytes."""
    content.seek(0)
    with archive.open(zipfile.ZipInfo(member), "w", force_zip64=True) as file:
        header = {"descr": dtype, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        shutil.copyfileobj(content, file)


#: How encodings are written, by ending.
WRITERS: dict[str, Callable[[Path, Subject, dict[str, int], Iterable[Encoded]], None]] = {
    ".npz": write_archive,
    ".parquet": write_rows,
}
