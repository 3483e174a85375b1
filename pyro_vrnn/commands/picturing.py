"""Figs. 2, 3 and 4 of loaded models, with measures of what they make: what ``analyze`` and reports share."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from pyro_vrnn.commands.analyzed import UNITS, Measured
from pyro_vrnn.commands.generated_files import WRITTEN
from pyro_vrnn.commands.progress import Told
from pyro_vrnn.commands.subject import Subject
from pyro_vrnn.data.writing import clipped, restored
from pyro_vrnn.inference.generation import generate, together
from pyro_vrnn.inference.paths import latent_path
from pyro_vrnn.measures import ink, sound
from pyro_vrnn.training.saving import TrainedModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Frames of an example that Fig. 2 shows at most.
SHOWN = 512

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Asked:
    """What was typed.

    Attributes:
        out: The folder.
        part: Of the models' own data; None for the test part.
        count: Examples in Fig. 2.
        samples: How many are drawn of each model, and taken of the data.
        seconds: Duration of each, of sound.
        seed: Of all draws.
        device: Where.
    """

    out: Path
    part: str | None = None
    count: int = 3
    samples: int = 32
    seconds: float = 2.0
    seed: int = 0
    device: str = "auto"


class Member(NamedTuple):
    """A model among those that are compared.

    Attributes:
        name: In figures and tables.
        trained: The model, on its device.
        subject: Data that it did not see, standardised as it was trained.
    """

    name: str
    trained: TrainedModel
    subject: Subject

    @property
    def kind(self) -> str:
        """``audio``, ``pen`` or ``arrays``."""
        return self.subject.sequences.kind


def draw(members: Sequence[Member], asked: Asked, told: Told) -> "tuple[dict[str, Figure], list[Measured]]":
    """Fig. 2 of each model with latents, and Fig. 3 or 4 over real data and all models with measures.

    Args:
        members: At least one, all of the same kind of data, frame and rate; the first one's data are the real ones.
        asked: How much of it.
        told: Told of the progress.

    Returns:
        Figures by the names of their files, without an ending; measures of real samples and of what each model makes,
        none of rows of numbers.
    """
    figures = dict[str, "Figure"]()
    for k, member in enumerate(members):
        told("follow", k, len(members))
        if member.trained.net.has_latents:
            name = re.sub(r"[^\w.-]+", "-", member.name).strip("-")
            figures[f"figure-2-{name}"] = figure_2(member, asked.count, seed=asked.seed)
    told("follow", len(members), len(members))
    compared = {"audio": sounds, "pen": inks}.get(members[0].kind)
    made, measured = ({}, []) if compared is None else compared(members, asked, told)
    return {**figures, **made}, measured


def figure_2(member: Member, count: int, *, seed: int = 0) -> "Figure":
    """Fig. 2 of a model with latents, on examples spread evenly over its data.

    Raises:
        ConfigurationError: If it has no latents.
    """
    from pyro_vrnn.figures import paths

    traces: dict[str, Callable[[Array], paths.Trace]] = {
        "audio": lambda values: paths.Wave(values.reshape(-1)),
        "pen": paths.Pen,
        "arrays": paths.Rows,
    }
    sequences, net, examples = member.subject.sequences, member.trained.net, []
    for i in spread(len(sequences), count):
        x = sequences.read(i, 0, SHOWN)
        path = latent_path(net, torch.from_numpy(x)[None], seed=seed)
        cut = f", the first {SHOWN} of {sequences.lengths[i]} frames" if sequences.lengths[i] > SHOWN else ""
        trace = traces[member.kind](sequences.normaliser.restore(x.astype(np.float64)))
        title = f"{member.subject.names[i]}{cut}"
        examples.append(paths.Example(title, path, trace, member.subject.seconds_per_frame))
    return paths.figure_2(examples, f"{member.name}: latents along unseen examples ({member.subject.title})")


def sounds(members: Sequence[Member], asked: Asked, told: Told) -> "tuple[dict[str, Figure], list[Measured]]":
    """Fig. 3 of samples and of means, a picture of the measures, and these; arguments as of :func:`draw`."""
    from pyro_vrnn.figures.spreads import spreads
    from pyro_vrnn.figures.waveforms import figure_3

    rate = members[0].subject.sequences.sample_rate
    assert rate is not None
    frames = max(1, round(asked.seconds * rate / members[0].subject.sequences.frame))
    real = [x.reshape(-1) for x in real_samples(members[0].subject, asked.samples, frames)]
    found = [Measured("real", "real", sound.measure(real, rate, real))]
    shown: dict[str, dict[str, list[Array]]] = {"sample": {"real": real}, "mean": {"real": real}}
    for k, member in enumerate(members):
        told("draw", k, len(members))
        for written, drawn in made_samples(member.trained, asked.samples, frames, asked.seed).items():
            kept = [np.clip(x, -1, 1).reshape(-1) for x in drawn if np.isfinite(x).all()]
            clips = sum(clipped(x) for x in drawn if np.isfinite(x).all())
            values = sound.measure(kept, rate, real)
            found.append(Measured(member.name, written, values, None, len(drawn) - len(kept), clips))
            if kept:
                shown[written][found[-1].title] = kept
    told("draw", len(members), len(members))
    figures = {
        f"figure-3-{written}": figure_3(
            {name: samples[0] for name, samples in each.items()}, rate, f"Fig. 3: {WRITTEN[written]}", spectra=each
        )
        for written, each in shown.items()
    }
    figures["measures"] = spreads({each.title: each.values for each in found}, _labels("audio"), "a dot a sample")
    return figures, found


def inks(members: Sequence[Member], asked: Asked, told: Told) -> "tuple[dict[str, Figure], list[Measured]]":
    """Fig. 4, a picture of the measures, and these; arguments as of :func:`draw`."""
    from pyro_vrnn.figures.handwriting import figure_4
    from pyro_vrnn.figures.spreads import spreads

    lengths = members[0].subject.sequences.lengths
    frames = int(np.median(lengths))
    real = real_samples(members[0].subject, asked.samples, None)
    shown = {"real": real}
    found = [Measured("real", "real", ink.measure(real), ink.consistency(real))]
    for k, member in enumerate(members):
        told("draw", k, len(members))
        drawn = made_samples(member.trained, asked.samples, frames, asked.seed)["sample"]
        kept = [x for x in drawn if np.isfinite(x).all()]
        unusable = len(drawn) - len(kept)
        found.append(Measured(member.name, "sample", ink.measure(kept), ink.consistency(kept), unusable))
        shown[member.name] = kept
    told("draw", len(members), len(members))
    figures = {
        "figure-4": figure_4(shown, f"Fig. 4: handwriting, {frames} points a sample; each to its own scale"),
        "measures": spreads({each.title: each.values for each in found}, _labels("pen"), "a dot a sample"),
    }
    return figures, found


def real_samples(subject: Subject, count: int, frames: int | None) -> list[Array]:
    """The middle of recordings spread evenly over the data, as amplitudes or points, ``(t, X)`` each.

    Segments of a recording are joined; recordings shorter than that are taken only if there are no others, whole.

    Args:
        subject: The data.
        count: How many, at most.
        frames: Of each, at most; None takes all of them whole.
    """
    joined = subject.carried(None)
    enough = np.flatnonzero(joined.lengths >= (frames or 0))
    among = enough if len(enough) else np.arange(len(joined))
    taken = []
    for i in among[spread(len(among), count)]:
        length = int(joined.lengths[i])
        start = max(0, (length - (frames or length)) // 2)
        x = joined.read(int(i), start, start + (frames or length))
        taken.append(subject.sequences.normaliser.restore(x.astype(np.float64)))
    return taken


def made_samples(trained: TrainedModel, count: int, frames: int, seed: int) -> dict[str, Array]:
    """What a model draws, and the means of the same steps, in the data's own values, ``(count, frames, X)``."""
    drawn = together(generate(trained.net, frames, count, seed=seed))
    both = {"sample": drawn.x, "mean": drawn.mean}
    return {written: restored(x.cpu(), trained.data) for written, x in both.items()}


def spread(length: int, count: int) -> list[int]:
    """So many of the positions up to a length, evenly, none twice."""
    return sorted({int(i) for i in np.linspace(0, length - 1, min(length, count)).round()})


def _labels(kind: str) -> dict[str, str]:
    return {name: name.replace("_", " ") + (f", {unit}" if unit else "") for name, (unit, _) in UNITS[kind].items()}
