"""How large the parts are: the paper's experiments, a small default, and widths solved for an equal count."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cache

from torch import nn

from pyro_vrnn.errors import ConfigurationError


@dataclass(frozen=True)
class Widths:
    """Hidden units of each net; every hidden layer of a net is as wide as the others."""

    phi_x: int
    emission: int
    phi_z: int = 0
    guide: int = 0
    prior: int = 0

    def scaled(self, by: float) -> "Widths":
        """Every width times ``by``, rounded, at least 1 where it was."""
        return Widths(**{f.name: _scale(getattr(self, f.name), by) for f in fields(self)})


@dataclass(frozen=True)
class Sizes:
    """Everything that decides how many parameters a model has.

    Attributes:
        h: Units of each layer of the recurrence.
        layers: Layers of the recurrence.
        z: Latent values in a step.
        depth: Hidden layers of every net.
        widths: Their widths.
    """

    h: int
    layers: int
    z: int
    depth: int
    widths: Widths


@dataclass(frozen=True)
class Preset:
    """One experiment: its sizes, with widths by column (``rnn-gauss``, ``rnn-gmm``, ``vrnn-gauss``, ``vrnn-gmm``).

    A column that is missing is solved to RNN-Gauss's count.

    Attributes:
        of_points: Whether it is of a pen's points. Columns of mixtures have narrower nets elsewhere, because a mixture
            over a frame of sound has thousands of outputs; one over a point has about a hundred.
    """

    h: int
    z: int
    depth: int
    columns: Mapping[str, Widths]
    layers: int = 1
    of_points: bool = False


def _columns(gauss: int, gmm: int, vrnn: tuple[int, ...], vrnn_gmm: tuple[int, ...]) -> dict[str, Widths]:
    """Widths as the released code lists them: (phi_x, phi_z, enc, prior, dec) of the latent models."""
    named = {
        name: Widths(phi_x=x, phi_z=z, guide=enc, prior=prior, emission=dec)
        for name, (x, z, enc, prior, dec) in {"vrnn-gauss": vrnn, "vrnn-gmm": vrnn_gmm}.items()
    }
    return {"rnn-gauss": Widths(gauss, gauss), "rnn-gmm": Widths(gmm, gmm), **named}


_units_2000 = Preset(2000, 200, 4, _columns(600, 450, (400,) * 5, (400, 300, 300, 300, 400)))

#: Sizes by name. Widths of the paper's five experiments are those of its released code, whose z is 200 for Blizzard
#: and 50 for IAM-OnDB; it is unreleased for the others, and 200 here.
PRESETS: dict[str, Preset] = {
    "small": Preset(
        256,
        64,
        2,
        {
            "rnn-gauss": Widths(128, 128),
            "rnn-gmm": Widths(128, 48),
            "vrnn-gauss": Widths(phi_x=128, phi_z=128, guide=128, prior=128, emission=128),
            "vrnn-gmm": Widths(phi_x=64, phi_z=64, guide=64, prior=64, emission=32),
        },
    ),
    "linear-gaussian": Preset(
        64,
        8,
        1,
        {
            "rnn-gauss": Widths(64, 64),
            "rnn-gmm": Widths(64, 64),
            "vrnn-gauss": Widths(phi_x=64, phi_z=64, guide=64, prior=64, emission=64),
            "vrnn-gmm": Widths(phi_x=64, phi_z=64, guide=64, prior=64, emission=64),
        },
    ),
    "blizzard": Preset(4000, 200, 4, _columns(800, 700, (600, 500, 500, 500, 600), (500,) * 5)),
    "timit": _units_2000,
    "onomatopoeia": _units_2000,
    "accent": _units_2000,
    "iam-ondb": Preset(
        1200, 50, 1, _columns(340, 300, (250, 150, 150, 150, 250), (250, 150, 150, 150, 250)), of_points=True
    ),
    "listening": Preset(3000, 200, 4, {"rnn-gauss": Widths(3200, 3200)}, layers=3),
}


def preset(name: str) -> Preset:
    """The preset of this name.

    Raises:
        ConfigurationError: If there is none.
    """
    if name not in PRESETS:
        raise ConfigurationError(f"--preset {name}: unknown; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]


def parameters_per_part(net: nn.Module) -> dict[str, int]:
    """Number of parameters of each part, by name; parts without any are left out."""
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in net.named_children()}
    return {name: count for name, count in counts.items() if count}


def dnn_parameters(net: nn.Module) -> int:
    """Parameters of everything but the recurrence: what the paper keeps equal between models (Sec. 4.1).

    What no density reads, Z-forcing's auxiliary part, is no part of the model either.
    """
    counts = parameters_per_part(net)
    return sum(count for name, count in counts.items() if name not in ("recurrence", "auxiliary"))


def matched(start: Widths, count: Callable[[Widths], int], target: int) -> Widths:
    """Widths in the proportions of ``start`` whose parameters number ``target`` to within 1 %.

    One factor scales all widths. The emission's step can be coarse (a mixture's head has thousands of parameters a
    unit), so the factor is solved again for the others at the nearest emission widths, and the closest is taken.

    Args:
        start: The proportions.
        count: Counts the parameters of a model with these widths; increasing in each.
        target: The number to meet.

    Raises:
        ConfigurationError: If no widths come within 1 %.
    """
    count = cache(count)  # neighbouring factors round to the same widths
    whole = start.scaled(_solve(lambda by: count(start.scaled(by)) - target))
    candidates = [whole]
    for emission in range(max(1, whole.emission - 2), whole.emission + 2):

        def others(by: float, emission: int = emission) -> Widths:
            return replace(start.scaled(by), emission=emission)

        def excess(by: float, widths: Callable[[float], Widths] = others) -> int:
            return count(widths(by)) - target

        near = others(_solve(excess))
        candidates += [replace(near, phi_x=max(1, near.phi_x + step)) for step in range(-8, 9)]
    best = min(candidates, key=lambda widths: (abs(count(widths) - target), -widths.emission))
    if abs(count(best) - target) > 0.01 * target:
        raise ConfigurationError(
            f"--widths matched: the closest widths have {count(best)} parameters for {target}; use a larger preset,"
            " or give the widths themselves"
        )
    return best


def _scale(width: int, by: float) -> int:
    return max(1, round(width * by)) if width else 0


def _solve(excess: Callable[[float], int]) -> float:
    """The factor at which an increasing function crosses zero, by bisection on [1/64, 64]."""
    low, high = 1 / 64, 64.0
    for _ in range(24):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if excess(middle) > 0 else (middle, high)
    return low
