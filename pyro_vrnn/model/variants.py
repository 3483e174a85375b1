"""The table of variants, the parts by name, and the model that options describe."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.model import discrete, own, sizes
from pyro_vrnn.model.arguments import arguments_of
from pyro_vrnn.model.emissions import Emission, gmm
from pyro_vrnn.model.flows import FlowGuide, ResidualGuide
from pyro_vrnn.model.guides import FilteringGuide, Guide, IndependentGuide, SmoothingGuide
from pyro_vrnn.model.heavy_tails import Laplace, StudentT
from pyro_vrnn.model.mixtures import MixturePrior
from pyro_vrnn.model.nets import MLP
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.priors import ConditionalPrior, StandardPrior, TransitionPrior
from pyro_vrnn.model.recurrence import GRU, LSTM, Linear
from pyro_vrnn.model.sizes import Sizes, Widths
from pyro_vrnn.model.state import Dims
from pyro_vrnn.model.strokes import PenStroke
from pyro_vrnn.model.trial import check_parts
from pyro_vrnn.model.zforcing import Auxiliary


def _residual(dims: Dims, hidden: Sequence[int], base: str = "filtering") -> Guide:
    return ResidualGuide(_base("residual", base, ("filtering", "independent", "smoothing"))(dims, hidden))


def _flow(dims: Dims, hidden: Sequence[int], base: str = "filtering", steps: int = 2) -> Guide:
    on = _base("flow", base, ("filtering", "independent", "smoothing", "residual"))
    return FlowGuide(on(dims, hidden), dims.z, hidden, steps)


def _base(guide: str, base: str, known: Sequence[str]) -> Callable[..., Guide]:
    if base not in known:
        raise ConfigurationError(f"model.guide_base={base}: --guide {guide} stands on one of {', '.join(known)}")
    return GUIDES[base]


def _pen(dims: Dims, hidden: Sequence[int], components: int = 20) -> Emission:
    return Emission(dims, hidden, partial(PenStroke, components=components))


#: Parts by name. A prior, guide or emission is built from ``(dims, hidden widths)`` and what else it takes
#: (:mod:`~pyro_vrnn.model.arguments`), a recurrence from ``(dims, layers=)``.
PRIORS: dict[str, Callable[..., Any]] = {
    "standard": StandardPrior,
    "conditional": ConditionalPrior,
    "transition": TransitionPrior,
    "mixture": MixturePrior,
}
GUIDES: dict[str, Callable[..., Any]] = {
    "filtering": FilteringGuide,
    "independent": IndependentGuide,
    "smoothing": SmoothingGuide,
    "residual": _residual,
    "flow": _flow,
}
EMISSIONS: dict[str, Callable[..., Any]] = {
    "gaussian": Emission,
    "gmm": gmm,
    "laplace": partial(Emission, head=Laplace),
    "student-t": partial(Emission, head=StudentT),
    "bernoulli": discrete.bernoulli,
    "dmol": discrete.dmol,
    "pen-gauss": partial(Emission, head=partial(PenStroke, components=1)),
    "pen": _pen,
}
#: What stands for the variants' emissions where data are strokes of a pen.
PEN: dict[str, str] = {"gaussian": "pen-gauss", "gmm": "pen"}
#: Densities of three continuous values, or probabilities of three integers: none for a pen, which is up or down.
OF_NO_PEN = tuple(name for name in EMISSIONS if name not in PEN.values())
RECURRENCES: dict[str, Callable[..., Any]] = {"lstm": LSTM, "gru": GRU, "linear": Linear}
TABLES = {"prior": PRIORS, "guide": GUIDES, "emission": EMISSIONS, "recurrence": RECURRENCES}


@dataclass(frozen=True)
class Variant:
    """A row of the table: the parts that make one model of the literature.

    Attributes:
        prior: None without latents.
        guide: None without latents.
        emission: By name, like the others.
        h_reads_z: Whether the recurrence reads z.
        summary: A line for people.
        auxiliary: Weight of Z-forcing's cost in training; 0 for none.
        arguments: What a part takes beside its widths, by kind and name.
        sources: ``module@checksum`` of the code that parts of one's own must come from; empty for any.
    """

    prior: str | None
    guide: str | None
    emission: str
    h_reads_z: bool
    summary: str
    auxiliary: float = 0.0
    arguments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sources: tuple[str, ...] = ()


VARIANTS: dict[str, Variant] = {
    "rnn-gauss": Variant(None, None, "gaussian", False, "RNN, Gaussian output (Chung et al. 2015)"),
    "rnn-gmm": Variant(None, None, "gmm", False, "RNN, output a mixture of 20 Gaussians (Chung et al. 2015)"),
    "vrnn-i": Variant("standard", "filtering", "gaussian", True, "VRNN-I-Gauss: the prior reads no past"),
    "vrnn-i-gmm": Variant("standard", "filtering", "gmm", True, "VRNN-I with a mixture of 20 Gaussians"),
    "vrnn-gauss": Variant("conditional", "filtering", "gaussian", True, "VRNN-Gauss (Chung et al. 2015)"),
    "vrnn-gmm": Variant("conditional", "filtering", "gmm", True, "VRNN-GMM (Chung et al. 2015)"),
    "storn": Variant("standard", "independent", "gaussian", True, "STORN (Bayer & Osendorfer 2014), read as a VRNN-I"),
    "srnn": Variant("transition", "smoothing", "gaussian", False, "SRNN (Fraccaro et al. 2016)"),
    "zforcing": Variant("conditional", "smoothing", "gaussian", True, "Z-forcing (Goyal et al. 2017)", auxiliary=0.005),
}
ALIASES = {"vrnn-i-gauss": "vrnn-i", "vrnn": "vrnn-gauss"}


class ModelOptions(BaseModel):
    """What decides the model. None takes the variant's part or the preset's size."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    variant: str = Field("vrnn-gauss", description="row of the table of variants")
    preset: str = Field("small", description="sizes: one of the paper's experiments, listening or small")
    widths: Literal["released", "matched"] = Field(
        "released", description="released: the preset's widths; matched: RNN-Gauss's parameter count to within 1 %"
    )
    prior: str | None = Field(None, description="prior, instead of the variant's")
    guide: str | None = Field(None, description="guide, instead of the variant's")
    emission: str | None = Field(None, description="emission, instead of the variant's")
    recurrence: str = Field("lstm", description="recurrence")
    guide_base: str | None = Field(None, description="what the guides residual and flow stand on; None: filtering")
    guide_steps: int | None = Field(None, gt=0, le=16, description="steps of the guide flow; None: 2")
    prior_components: int | None = Field(None, gt=0, description="components of the prior mixture; None: 5")
    emission_components: int | None = Field(None, gt=0, description="components of gmm (None: 20) and dmol (None: 10)")
    auxiliary: float | None = Field(
        None, ge=0, description="weight of Z-forcing's cost in training, which is then no bound; None: the variant's"
    )
    sources: tuple[str, ...] | None = Field(None, description="filled in: module@checksum of parts of one's own")
    h: int | None = Field(None, gt=0, description="units of the recurrence")
    layers: int | None = Field(None, gt=0, description="layers of the recurrence")
    z: int | None = Field(None, gt=0, description="latent values in a step")
    depth: int | None = Field(None, gt=0, description="hidden layers of every net")
    phi_x_width: int | None = Field(None, gt=0, description="width of phi_x")
    phi_z_width: int | None = Field(None, gt=0, description="width of phi_z")
    guide_width: int | None = Field(None, gt=0, description="width of the guide's net")
    prior_width: int | None = Field(None, gt=0, description="width of the prior's net")
    emission_width: int | None = Field(None, gt=0, description="width of the emission's net")


def row(options: ModelOptions) -> Variant:
    """The options' row, with the parts that they replace.

    Raises:
        ConfigurationError: If a name is unknown or a part has no meaning for the variant.
    """
    name = ALIASES.get(options.variant, options.variant)
    if name not in VARIANTS:
        raise ConfigurationError(
            f"--variant {options.variant}: unknown; choose one of {', '.join([*VARIANTS, *ALIASES])}"
        )
    variant = VARIANTS[name]
    for kind, parts in TABLES.items():
        chosen = getattr(options, kind)
        if chosen is not None and chosen not in parts:
            own.check_name(kind, chosen, parts)
        if chosen is not None and kind in ("prior", "guide") and variant.prior is None:
            raise ConfigurationError(
                f"--{kind} {chosen}: {name} has no latents; choose a variant that has, e.g. vrnn-gauss"
            )
    variant = replace(
        variant,
        prior=options.prior or variant.prior,
        guide=options.guide or variant.guide,
        emission=options.emission or variant.emission,
        auxiliary=variant.auxiliary if options.auxiliary is None else options.auxiliary,
        sources=options.sources or (),
    )
    chosen = {kind: TABLES[kind].get(getattr(variant, kind)) for kind in ("prior", "guide", "emission")}
    return replace(variant, arguments=arguments_of(options, variant, chosen))


def resolve(options: ModelOptions, x: int) -> Sizes:
    """The sizes that options describe for frames of ``x`` values.

    Raises:
        ConfigurationError: If a name is unknown or no widths match.
    """
    preset, variant = sizes.preset(options.preset), row(options)
    wanted = {name: getattr(options, name) for name in ("h", "layers", "z", "depth")}
    base = Sizes(
        **{name: getattr(preset, name) if value is None else value for name, value in wanted.items()},
        widths=preset.columns["rnn-gauss"],
    )
    gaussian = "pen-gauss" if variant.emission in PEN.values() else "gaussian"
    wide_output = variant.emission in ("gmm", "dmol") or (variant.emission == "pen" and preset.of_points)
    column = ("rnn-" if variant.prior is None else "vrnn-") + ("gmm" if wide_output else "gauss")
    known = preset.columns.get(column)
    if options.widths == "matched" or known is None:
        gauss = preset.columns["rnn-gauss"]
        width = gauss.phi_x
        start = known or Widths(phi_x=width, phi_z=width, guide=width, prior=width, emission=width)
        narrow = replace(VARIANTS["rnn-gauss"], emission=gaussian, sources=variant.sources)
        target = _count(narrow, options.recurrence, base, x, gauss)
        known = sizes.matched(start, lambda w: _count(variant, options.recurrence, base, x, w), target)
    given: Mapping[str, int | None] = {
        name: getattr(options, f"{name}_width") for name in ("phi_x", "phi_z", "guide", "prior", "emission")
    }
    widths = Widths(**{name: value or getattr(known, name) for name, value in given.items()})
    return Sizes(base.h, base.layers, base.z, base.depth, widths)


def build(options: ModelOptions, x: int, data: Mapping[str, Any] | None = None) -> VRNN:
    """The model that options describe for frames of ``x`` values, started from torch's global random state.

    Args:
        options: The options.
        x: Values in a frame.
        data: What the corpus says of itself (:meth:`pyro_vrnn.data.corpus.Corpus.describe`); emissions of integers
            read it.

    Raises:
        ConfigurationError: If a name is unknown or the combination has no meaning, or has none for these data.
    """
    variant, size = row(options), resolve(options, x)
    if variant.emission in ("bernoulli", "dmol"):
        emission = {**variant.arguments["emission"], "grid": discrete.grid_of(variant.emission, data)}
        variant = replace(variant, arguments={**variant.arguments, "emission": emission})
    net = compose(variant, options.recurrence, size, x)
    names = {kind: getattr(variant, kind, options.recurrence) for kind in own.CONTRACTS}
    check_parts(net, {kind: name for kind, name in names.items() if own.is_own(name)})
    if variant.auxiliary:
        if net.guide is None or not net.guide.foresees:
            raise ConfigurationError(
                f"model.auxiliary: guide {variant.guide} keeps no backward state for z to predict; use guide smoothing,"
                " or pass --set model.auxiliary=0"
            )
        net.auxiliary = Auxiliary(net.dims, [size.widths.guide] * size.depth, net.guide.foresees, variant.auxiliary)
    return net


def compose(variant: Variant, recurrence: str, size: Sizes, x: int) -> VRNN:
    """The composition of a row's parts at these sizes."""
    if recurrence == "linear" and size.layers != 1:
        raise ConfigurationError(
            f"--recurrence linear with {size.layers} layers: a stack of linear layers is one; use 1"
        )
    latent, widths = variant.prior is not None, size.widths
    dims = Dims(
        x=x,
        z=size.z if latent else 0,
        h=size.h,
        phi_x=widths.phi_x,
        phi_z=widths.phi_z if latent else 0,
        h_reads_z=variant.h_reads_z,
    )

    def hidden(width: int) -> list[int]:
        return [width] * size.depth

    def given(kind: str) -> Mapping[str, Any]:
        return variant.arguments.get(kind, {})

    def part(kind: str, name: str) -> Callable[..., Any]:
        return TABLES[kind].get(name) or own.builder(kind, name, variant.sources)

    return VRNN(
        dims,
        phi_x=MLP((x,), hidden(widths.phi_x)),
        phi_z=MLP((dims.z,), hidden(widths.phi_z)) if latent else None,
        prior=part("prior", variant.prior)(dims, hidden(widths.prior), **given("prior")) if variant.prior else None,
        guide=part("guide", variant.guide)(dims, hidden(widths.guide), **given("guide")) if variant.guide else None,
        emission=part("emission", variant.emission)(dims, hidden(widths.emission), **given("emission")),
        recurrence=part("recurrence", recurrence)(dims, layers=size.layers),
    )


def _count(variant: Variant, recurrence: str, base: Sizes, x: int, widths: Widths) -> int:
    """Parameters beside the recurrence, counted on a model that takes no memory."""
    with torch.device("meta"):
        net = compose(variant, recurrence, Sizes(base.h, base.layers, base.z, base.depth, widths), x)
    return sizes.dnn_parameters(net)


__all__ = [
    "ALIASES",
    "EMISSIONS",
    "GUIDES",
    "PEN",
    "PRIORS",
    "RECURRENCES",
    "VARIANTS",
    "ModelOptions",
    "Variant",
    "build",
]
