"""Options that name their place in the configuration."""

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])


class _Positive(click.ParamType):
    """A positive number; infinity, which click's own range takes, is none."""

    name = "float"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        number = click.FLOAT.convert(value, parameter, context)
        if not (math.isfinite(number) and number > 0):
            self.fail(f"{value} is not a positive number", parameter, context)
        return float(number)


POSITIVE = _Positive()


def option(flag: str, place: str, help: str, **attributes: Any) -> Callable[[Function], Function]:
    """A click option whose value goes to ``room.name`` of the configuration when it is given.

    Args:
        flag: As typed, e.g. ``--variant``.
        place: ``room.name``.
        help: One line.
        attributes: Further attributes of the click option.
    """
    return click.option(flag, place.replace(".", "__"), help=help, default=None, **attributes)


def flag(name: str, place: str, help: str) -> Callable[[Function], Function]:
    """A switch for ``room.name``."""
    return click.option(name, place.replace(".", "__"), help=help, is_flag=True, default=None)


def by_room(given: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What was given, by room and name; takes those entries out of ``given``."""
    rooms: dict[str, dict[str, Any]] = {}
    for key in [key for key in given if "__" in key]:
        value = given.pop(key)
        if value is not None:
            room, name = key.split("__")
            rooms.setdefault(room, {})[name] = value
    return rooms


def reading_options(function: Function) -> Function:
    """How files are read and cut, where a source is read as well as where it is prepared."""
    for decorate in reversed(
        [
            option("--sample-rate", "data.sample_rate", "Expected rate in Hz; default: that of the files.", type=int),
            flag("--resample/--no-resample", "data.resample", "Convert files of another rate."),
            flag("--mix/--no-mix", "data.mix", "Mix several channels to one."),
            option("--frame", "data.frame", "Samples a frame; default 200.", type=int),
            option(
                "--segment", "data.segment", "Cut clips into segments of this many seconds; 0: whole clips.", type=float
            ),
        ]
    ):
        function = decorate(function)
    return function


def data_options(function: Function) -> Function:
    """The options of the data room, the same for every command that reads sequences."""
    for decorate in reversed(
        [
            option(
                "--data",
                "data.source",
                "Embedded set (see `data list`), prepared corpus, or a folder of audio files.",
                metavar="D",
            ),
            reading_options,
            option(
                "--normaliser",
                "data.normaliser",
                "How pen strokes are standardised; released: as the paper's released code does.",
                type=click.Choice(["training", "released"]),
            ),
            flag(
                "--dither/--no-dither",
                "data.dither",
                "Add noise of one step of the integers: densities then bound probabilities.",
            ),
        ]
    ):
        function = decorate(function)
    return function


def data_source(metavar: str) -> Callable[[Function], Function]:
    """The options of the data room, with the source as an argument of this name."""

    def decorate(function: Function) -> Function:
        function = data_options(click.argument("data__source", metavar=metavar)(function))
        parameters = function.__click_params__  # type: ignore[attr-defined]
        parameters[:] = [parameter for parameter in parameters if "--data" not in parameter.opts]
        return function

    return decorate


def split_options(function: Function) -> Function:
    """The options that divide a source into training, validation and test part."""
    for decorate in reversed(
        [
            option("--split", "data.split", "How parts are chosen.", type=click.Choice(["random", "speaker", "list"])),
            option("--test-pattern", "data.test_pattern", "Files whose path matches are the test set.", metavar="RE"),
            option("--speaker-pattern", "data.speaker_pattern", "Its first group is the speaker.", metavar="RE"),
            option("--test-list", "data.test_list", "A text file that names the test files.", metavar="FILE"),
        ]
    ):
        function = decorate(function)
    return function


def _trust(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> None:
    if given:
        from pyro_vrnn.model.own import trust

        trust(*given)


trust_option = click.option(
    "--trust",
    multiple=True,
    metavar="MODULE",
    expose_value=False,
    callback=_trust,
    help="Let this module's code be run for a stored part of your own.",
)

report_option = flag(
    "--report/--no-report", "tracking.report", "Samples while training and a page at its end; default: yes."
)

tracking_uri = option(
    "--tracking-uri", "tracking.uri", "MLflow store or server; default: mlruns/mlflow.db.", metavar="URI"
)


def _tags(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str] | None:
    pairs = [word.partition("=") for word in given]
    for name, equals, value in pairs:
        if not (name and equals and value):
            raise click.BadParameter(f"{name}{equals}{value}: expected NAME=VALUE, e.g. idea=wider")
    return {name: value for name, _, value in pairs} or None


tag_option = option(
    "--tag", "tracking.tags", "A tag to group runs by.", metavar="NAME=VALUE", multiple=True, callback=_tags
)
