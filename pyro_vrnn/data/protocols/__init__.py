"""The corpora as they are distributed: which files are used, who speaks, which part they are in, and what was said.

A protocol is a pure function of the relative paths in a folder and of the text of its side files; it decodes nothing:

    corpus = PROTOCOLS["timit"]
    plan = corpus.plan(names, corpus.parse({"sa": "drop"}), seed=0, side=side_files(root))
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from ...errors import ConfigurationError
from ..kinds import Kind
from . import accent, blizzard, folders, iam, timit
from .accent import AccentOptions
from .blizzard import BlizzardOptions
from .folders import NoOptions
from .iam import IamOptions
from .plan import Part, Plan, Side, Unit, Used, side_files
from .timit import TimitOptions

__all__ = [
    "PROTOCOLS",
    "AccentOptions",
    "BlizzardOptions",
    "CorpusProtocol",
    "Defaults",
    "IamOptions",
    "NoOptions",
    "Part",
    "Plan",
    "Planner",
    "Side",
    "TimitOptions",
    "Unit",
    "Used",
    "side_files",
]


class Planner(Protocol):
    """What a protocol is: the plan of a folder from its names, the chosen options, a seed and its side files."""

    def __call__(self, names: Collection[str], options: Any, *, seed: int, side: Side) -> Plan:
        """The plan.

        Raises:
            DataError: The folder does not hold the corpus, in one line.
        """


@dataclass(frozen=True)
class Defaults:
    """How a corpus is read unless told otherwise; `None` where it has no meaning.

    Attributes:
        kind: What its files hold.
        sample_rate: The rate in Hz everything is brought to; None: that of the files, which must agree.
        resample: Whether files of another rate are converted.
        mix: Whether channels are averaged.
        segment: Seconds of a segment; 0: whole clips; None: as the preset has it.
    """

    kind: Kind
    sample_rate: int | None = None
    resample: bool = False
    mix: bool = False
    segment: float | None = None

    def options(self) -> dict[str, Any]:
        """The fields of `DataOptions` that they decide."""
        fields = {name: getattr(self, name) for name in ("sample_rate", "resample", "mix", "segment")}
        return {name: value for name, value in fields.items() if value is not None and value is not False}


@dataclass(frozen=True)
class CorpusProtocol:
    """A corpus: how it is planned, what can be chosen, and how it is read.

    Attributes:
        name: What it is called on the command line.
        planner: Its protocol.
        options: What can be chosen about it.
        defaults: How it is read.
    """

    name: str
    planner: Planner
    options: type[BaseModel]
    defaults: Defaults

    def plan(self, names: Collection[str], options: BaseModel, *, seed: int, side: Side) -> Plan:
        """The plan of a folder whose files have these relative paths.

        Raises:
            DataError: The folder does not hold the corpus, in one line.
        """
        return self.planner(names, options, seed=seed, side=side)

    def plan_folder(self, names: Collection[str], given: Mapping[str, Any], seed: int, root: Path) -> Plan:
        """The plan of a folder that is there, of options by their names.

        Raises:
            ConfigurationError: As `parse`.
            DataError: As `plan`.
        """
        return self.plan(names, self.parse(given), seed=seed, side=side_files(root))

    def parse(self, given: Mapping[str, Any]) -> BaseModel:
        """Options from names and values, such as a command line or a manifest has them.

        Raises:
            ConfigurationError: The corpus has no such option, or the value is not one of its own.
        """
        known = ", ".join(f"--{name}" for name in self.options.model_fields)
        expected = f"expected one of its own: {known}" if known else "it has none of its own; leave it out"
        unknown = next((name for name in given if name not in self.options.model_fields), None)
        if unknown is not None:
            raise ConfigurationError(f"--{unknown}: {self.name} has no such option; {expected}")
        try:
            return self.options.model_validate(dict(given))
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"]))
            raise ConfigurationError(f"--{name} {first['input']}: {self.name}: {first['msg']}") from None


# The paper's rate, and its half seconds where it cuts (Chung et al. 2015, Sec. 4.1).
_SPEECH: dict[str, Any] = {"kind": "audio", "sample_rate": 16000}
_CONVERTED: dict[str, Any] = {**_SPEECH, "resample": True, "mix": True}

PROTOCOLS: dict[str, CorpusProtocol] = {
    corpus.name: corpus
    for corpus in (
        CorpusProtocol("blizzard", blizzard.plan, BlizzardOptions, Defaults(**_CONVERTED, segment=0.5)),
        CorpusProtocol("timit", timit.plan, TimitOptions, Defaults(**_SPEECH, segment=0.0)),
        CorpusProtocol("onomatopoeia", folders.onomatopoeia, NoOptions, Defaults(**_CONVERTED, segment=0.0)),
        CorpusProtocol("accent", accent.plan, AccentOptions, Defaults(**_CONVERTED, segment=0.5)),
        CorpusProtocol("iam-ondb", iam.plan, IamOptions, Defaults("pen")),
        CorpusProtocol("audio", folders.audio, NoOptions, Defaults("audio")),
        CorpusProtocol("strokes", folders.strokes, NoOptions, Defaults("pen")),
        CorpusProtocol("arrays", folders.arrays, NoOptions, Defaults("arrays")),
    )
}
"""Every corpus that can be prepared, by its name."""
