"""The group of commands. A command's module is imported when that command is called."""

import os
import sys
from importlib import import_module

import click

from pyro_vrnn import __version__
from pyro_vrnn.errors import UserError

#: Each command's module and the line that ``--help`` shows for it.
COMMANDS = {
    "fit": ("fit", "Train a model and score it on the test set."),
    "ablate": ("ablate", "Train a grid of models: every combination of variants, parts, values and seeds."),
    "compare": ("compare", "Runs side by side: a table of their likelihoods, and which is best."),
    "evaluate": ("evaluate", "Score a trained model."),
    "generate": ("generate", "Draw sequences from a model, go on from a recording, use its latents: sound or ink."),
    "score": ("score", "Log-likelihood of every frame of recordings, as a table."),
    "encode": ("encode", "Latents and states of every frame of recordings, as arrays."),
    "export": ("export", "A run's model as a folder that loads anywhere, with a model card."),
    "bench": ("bench", "How fast this machine trains: against its floor, and against peers."),
    "data": ("data", "What there is to train on."),
    "ui": ("ui", "Open the MLflow UI on the tracking store."),
}


class Lazy(click.Group):
    """A group that knows its commands' names and help without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order in which people need them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports a command."""
        if cmd_name not in COMMANDS:
            return None
        return import_module(f"pyro_vrnn.commands.{COMMANDS[cmd_name][0]}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.command(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pyro-vrnn")
def commands() -> None:
    """Variational recurrent neural networks for speech and handwriting, in Pyro."""


def main() -> None:
    """Runs a command. A user's mistake is one line on standard error and exit status 2."""
    # OpenMP's threads spin while they wait for each other. Two busy processes on the same cores then take turns at
    # spinning: on 2 cores a training step of 0.15 s took 14 s; with this limit 0.6 s, and alone no longer than before.
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")
    try:
        sys.exit(commands(standalone_mode=False))
    except UserError as error:
        _end(str(error), 2)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(2)
    except click.ClickException as error:
        where = "" if not isinstance(error, click.UsageError) or error.ctx is None else f"{error.ctx.command_path}: "
        _end(where + error.format_message(), 2)
    except (click.Abort, KeyboardInterrupt):
        _end("interrupted", 130)


def _end(message: str, status: int) -> None:
    click.echo(f"pyro-vrnn: {' '.join(message.split())}", err=True)
    sys.exit(status)
