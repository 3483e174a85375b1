"""One typed configuration: every option of ``fit`` has its place here, and a stored one repeats the run."""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pyro_vrnn.data.options import LINEAR_GAUSSIAN, DataOptions
from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.model import own, sizes
from pyro_vrnn.model.arguments import forget
from pyro_vrnn.model.suiting import suited
from pyro_vrnn.model.variants import ModelOptions, resolve, row


class TrainingOptions(BaseModel):
    """How the model is trained. None takes the preset's value."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int | None = Field(None, gt=0, description="passes over the training data")
    max_steps: int | None = Field(None, gt=0, description="optimiser steps at most")
    batch_size: int | None = Field(None, gt=0, description="sequences in a step, over all devices")
    learning_rate: float | None = Field(None, gt=0, description="Adam's learning rate")
    decay: Literal["none", "cosine"] | None = Field(
        None, description="the learning rate over all steps: constant, or falling to 0 along half a cosine"
    )
    clip: float | None = Field(None, gt=0, description="largest norm of the gradient of the bound per frame")
    patience: int = Field(20, gt=0, description="epochs without a better validation bound before stopping")
    seed: int = Field(0, ge=0, lt=2**63, description="the one seed that all randomness flows from")
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    devices: int = Field(1, gt=0, description="devices of each machine, a process each; batch_size is that of all")
    nodes: int = Field(1, gt=0, description="machines")
    precision: Literal["float32", "tf32", "bf16"] = Field(
        "float32", description="of matrix products in training: float32, on CUDA tf32, or bf16; scores are float32"
    )
    program: Literal["sequence", "markov"] = Field("sequence", description="Pyro program that is trained")
    elbo: Literal["mean-field", "trace"] = Field("mean-field", description="KL analytic where it exists, or sampled")
    objective: Literal["elbo", "iwae", "fivo"] = Field("elbo", description="the bound that is maximised")
    particles: int | None = Field(None, gt=0, description="draws a sequence in the bound; default 1, iwae and fivo 5")
    checkpoint_every: int = Field(
        0, ge=0, description="steps between which the state and z alone are kept, and the rest computed twice; 0: all"
    )
    carry: int | None = Field(
        None,
        gt=0,
        description="segments of a recording that its state is carried over, detached between them; 1: each anew",
    )
    kl_annealing: int = Field(0, ge=0, description="steps over which the KL's weight rises from 0 to 1; no bound then")
    free_bits: float = Field(0.0, ge=0, description="nats a latent dimension and frame that the KL is floored at")


class EvaluationOptions(BaseModel):
    """How the test set is scored at the end."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    particles: int = Field(40, gt=0, description="importance samples, and particles of the filter")
    repetitions: int = Field(2, gt=0, description="independent evaluations, which give the Monte Carlo error")


class TrackingOptions(BaseModel):
    """Where the run is tracked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    uri: str | None = Field(None, description="MLflow store or server; None: MLFLOW_TRACKING_URI or the embedded store")
    experiment: str = Field("pyro_vrnn", description="MLflow experiment")
    name: str | None = Field(None, description="name of the run; None: variant, data and seed")
    parent: str | None = Field(None, description="run of the same experiment that it is shown under")
    tags: dict[str, str] | None = Field(None, description="further tags, to group runs by")
    report: bool | None = Field(
        None, description="show samples while training and end with a report; None: yes, but not in cells of a grid"
    )


class Config(BaseModel):
    """The whole configuration of a run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: ModelOptions = ModelOptions()
    data: DataOptions = DataOptions()
    training: TrainingOptions = TrainingOptions()
    evaluation: EvaluationOptions = EvaluationOptions()
    tracking: TrackingOptions = TrackingOptions()

    @model_validator(mode="before")
    @classmethod
    def _preset_of_the_data(cls, given: Any) -> Any:
        """A set of four simulated values a frame has a preset of its own."""
        if not isinstance(given, dict):
            return given
        data, model = given.get("data", {}), given.get("model", {})
        source = data.get("source") if isinstance(data, dict) else getattr(data, "source", None)
        if source == LINEAR_GAUSSIAN and isinstance(model, dict):
            return {**given, "model": {"preset": LINEAR_GAUSSIAN, **model}}
        return given

    def explicit(self, x: int, kind: str = "audio") -> "Config":
        """The same with every preset's value filled in, so that it repeats the run whatever presets become.

        Args:
            x: Values in a frame.
            kind: Of the data: ``audio``, ``pen`` or ``arrays``.

        Raises:
            ConfigurationError: If a name is unknown or a combination has no meaning.
        """
        model = suited(self.model, kind)
        variant, size = row(model), resolve(model, x)
        widths = {f"{name}_width": width or None for name, width in vars(size.widths).items()}
        parts = {"prior": variant.prior, "guide": variant.guide, "emission": variant.emission}
        taken = {f"{kind}_{name}": value for kind, own in variant.arguments.items() for name, value in own.items()}
        numbers = {"h": size.h, "layers": size.layers, "z": size.z, "depth": size.depth, "auxiliary": variant.auxiliary}
        sources = own.sources([*parts.items(), ("recurrence", model.recurrence)], variant.sources)
        wanted = {**numbers, **widths, **parts, **taken, "sources": sources}
        given = self.training.model_dump(exclude_none=True)
        carries = kind == "audio" and self.training.objective != "fivo"
        carry = CARRIES.get(self.model.preset, 1) if carries else 1
        defaults = {"particles": PARTICLES[self.training.objective], "carry": carry}
        training = {**SCHEDULES[self.model.preset], **defaults, **given}
        if kind != "audio" and training["carry"] > 1:
            raise ConfigurationError(
                f"--carry {training['carry']}: over segments of recordings, and the data are {kind}; leave it out"
            )
        segment = SEGMENTS.get(self.model.preset) if self.data.segment is None else self.data.segment
        return self.model_copy(
            update={
                "data": self.data.model_copy(update={"segment": segment}),
                "model": ModelOptions.model_validate({**self.model.model_dump(), **wanted}),
                "training": TrainingOptions.model_validate(training),
            }
        )

    def kept(self) -> "Config":
        """The same without what is one run's own: whoever repeats the configuration makes another run."""
        own = {"name": None, "parent": None, "tags": None}
        return self.model_copy(update={"tracking": self.tracking.model_copy(update=own)})

    def flat(self) -> dict[str, Any]:
        """Dotted names and values, as they are tracked."""
        return {
            f"{room}.{name}": value
            for room, options in self.model_dump(exclude_none=True).items()
            for name, value in options.items()
        }

    def toml(self) -> str:
        """The configuration as TOML; options that are None are left out."""
        return tomli_w.dumps(self.model_dump(exclude_none=True))


#: Draws a sequence in each objective, unless given.
PARTICLES = {"elbo": 1, "iwae": 5, "fivo": 5}

#: Seconds that the paper cuts recordings into (Sec. 4.1), where it does not take whole ones.
SEGMENTS = {"blizzard": 0.5, "accent": 0.5, "listening": 0.5}

#: Segments that the paper carries the state over: 2 s of Blizzard.
CARRIES = {"blizzard": 4}

#: Learning rate and batch of the paper's experiments (its Sec. 4, and its released code); ``listening`` follows
#: Blizzard. ``small`` is for two CPU cores; its batch, clip and decay were chosen on spoken digits.
SCHEDULES: dict[str, dict[str, Any]] = {
    "small": {"learning_rate": 1e-3, "batch_size": 32, "epochs": 25, "decay": "cosine", "clip": 50.0},
    "linear-gaussian": {"learning_rate": 2e-3, "batch_size": 32, "epochs": 40, "decay": "cosine", "clip": 50.0},
    "blizzard": {"learning_rate": 3e-4, "batch_size": 128, "epochs": 500, "decay": "none", "clip": 5.0},
    "timit": {"learning_rate": 1e-3, "batch_size": 64, "epochs": 500, "decay": "none", "clip": 5.0},
    "onomatopoeia": {"learning_rate": 3e-4, "batch_size": 64, "epochs": 500, "decay": "none", "clip": 5.0},
    "accent": {"learning_rate": 1e-3, "batch_size": 128, "epochs": 500, "decay": "none", "clip": 5.0},
    "iam-ondb": {"learning_rate": 3e-4, "batch_size": 64, "epochs": 500, "decay": "none", "clip": 5.0},
    "listening": {"learning_rate": 3e-4, "batch_size": 128, "epochs": 500, "decay": "none", "clip": 5.0},
}
assert SCHEDULES.keys() == sizes.PRESETS.keys()


def read(
    file: Path | None = None, given: Mapping[str, Mapping[str, Any]] | None = None, settings: Iterable[str] = ()
) -> Config:
    """A configuration from a file, options given beside it, and ``key=value`` settings, the later before the earlier.

    Args:
        file: TOML, as :meth:`Config.toml` writes it.
        given: By room (``model``, ``data``, ...): the options that were given.
        settings: ``room.name=value`` with a TOML value, or a bare word for a string.

    Raises:
        ConfigurationError: If the file cannot be read, a key is unknown or a value has the wrong form.
    """
    tree: dict[str, Any] = {}
    if file is not None:
        try:
            tree = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigurationError(f"--config {file}: {error}; expected TOML as a run stores it") from None
        for room, options in tree.items():
            if not isinstance(options, dict):
                raise ConfigurationError(f"--config {file}: {room} = {options!r}; expected tables such as [model]")
    # A stored number of particles is that of the stored objective: another has its own.
    objective = tree.get("training", {}).get("objective")
    particles = tree.get("training", {}).pop("particles", None)
    forget(tree.get("model", {}), (given or {}).get("model", {}))
    for room, options in (given or {}).items():
        tree.setdefault(room, {}).update(options)
    for setting in settings:
        key, equals, text = setting.partition("=")
        room, dot, name = key.strip().partition(".")
        if not (equals and dot and name):
            raise ConfigurationError(f"--set {setting}: expected room.name=value, e.g. training.clip=1")
        branch = tree.setdefault(room, {})
        branch[name] = value_of(text.strip())
    training = tree.get("training", {})
    if particles is not None and training.get("objective") == objective:
        training.setdefault("particles", particles)
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigurationError(f"configuration: {where}: {first['msg']} (got {first['input']!r})") from None


def value_of(text: str) -> Any:
    """What is meant by a typed value: TOML, or a bare word for a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
