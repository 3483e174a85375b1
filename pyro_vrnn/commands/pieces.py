"""What a report lets one hear or see: recordings that the model did not see, these reconstructed, and what it makes."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from pyro_vrnn import __version__
from pyro_vrnn.commands.generated_files import READ, WRITTEN
from pyro_vrnn.commands.picturing import SHOWN, Asked, Member, made_samples, spread
from pyro_vrnn.data.writing import clipped, restored, wav_bytes
from pyro_vrnn.inference.generation import reconstruct, together
from pyro_vrnn.report import Piece, waveform

#: Recordings, and sequences that are made.
EACH = 2

Array = NDArray[np.float64]


class Made(NamedTuple):
    """One of them.

    Attributes:
        name: Of a file, without an ending.
        title: For people.
        words: How it came about.
        values: In the data's own, ``(t, X)``.
    """

    name: str
    title: str
    words: str
    values: Array


def make(member: Member, asked: Asked) -> list[Made]:
    """Real, reconstructed and generated sequences of the same kind and length; what is not finite is left out.

    Args:
        member: A model and unseen data.
        asked: The seed, and the duration of sounds.
    """
    sequences, net = member.subject.sequences, member.trained.net
    each = member.subject.seconds_per_frame
    frames = SHOWN if each is None else max(1, round(asked.seconds / each))
    found, lengths = [], []
    for k, i in enumerate(spread(len(sequences), EACH), 1):
        x = sequences.read(i, 0, frames)
        lengths.append(len(x))
        name = member.subject.names[i]
        found.append(Made(f"{k}-real", f"Real {k}", f"the recording {name}", _restored(x, member)))
        if net.has_latents:
            like = next(net.parameters())
            drawn = together(reconstruct(net, torch.from_numpy(x)[None].to(like), seed=asked.seed))
            words = f"of {name}: {WRITTEN['mean']}{READ['reconstruct']}"
            mean = _restored(drawn.mean[0].cpu(), member)
            found.append(Made(f"{k}-reconstructed-mean", f"Reconstructed {k}, means", words, mean))
    long = frames if each is not None else int(np.median(lengths))
    drawn_by_way = made_samples(member.trained, EACH, long, asked.seed)
    for written, values in drawn_by_way.items():
        for k, value in enumerate(values, 1):
            title = f"Generated {k}, {'samples' if written == 'sample' else 'means'}"
            words = f"{WRITTEN[written]}; x fed back is always sampled"
            found.append(Made(f"{k}-generated-{written}", title, words, value))
    return [made for made in found if np.isfinite(made.values).all()]


def piece(made: Made, member: Member, run: str) -> Piece:
    """For the page."""
    return _KINDS[member.kind][0](made, member, run)


def files(made: Made, member: Member, run: str) -> Iterator[tuple[str, bytes]]:
    """For folders: names and contents."""
    yield from _KINDS[member.kind][1](made, member, run)


def _restored(x: Any, member: Member) -> Array:
    return restored(x, member.trained.data)


def _comment(made: Made, member: Member, run: str) -> str:
    return f"pyro_vrnn {__version__}, run {run}, {member.trained.config.model.variant}: {made.words}"


def _wav(made: Made, member: Member, run: str) -> bytes:
    rate = int(member.trained.data["sample_rate"])
    return wav_bytes(made.values, rate, title=f"{run}: {made.title}", comment=_comment(made, member, run))


def _sound(made: Made, member: Member, run: str) -> Piece:
    samples = made.values.reshape(-1)
    seconds = len(samples) / int(member.trained.data["sample_rate"])
    outside = clipped(samples)
    words = f"{seconds:.2f} s, {made.words}" + (
        f"; {outside} values outside of [-1, 1) were clipped" if outside else ""
    )
    return Piece(made.title, words, waveform(samples.clip(-1, 1), f"waveform of {made.title}"), _wav(made, member, run))


def _drawing(made: Made, member: Member, run: str) -> str:
    from pyro_vrnn.figures.ink import svg

    return svg(made.values, title=f"{run}: {made.title}", description=_comment(made, member, run))


def _ink(made: Made, member: Member, run: str) -> Piece:
    return Piece(made.title, f"{len(made.values)} points, {made.words}", _drawing(made, member, run))


_KINDS: dict[str, tuple[Callable[..., Piece], Callable[..., Iterator[tuple[str, bytes]]]]] = {
    "audio": (_sound, lambda made, member, run: iter([(f"{made.name}.wav", _wav(made, member, run))])),
    "pen": (_ink, lambda made, member, run: iter([(f"{made.name}.svg", _drawing(made, member, run).encode())])),
}
#: Where files of each kind of data that can be heard or seen go.
FOLDERS = {"audio": "audio", "pen": "ink"}
