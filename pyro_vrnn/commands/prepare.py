"""``data prepare``: a corpus as it is distributed, made ready once."""

from pathlib import Path
from typing import Any

import click

from pyro_vrnn.commands.options import by_room, reading_options, split_options

CORPORA = ("blizzard", "timit", "onomatopoeia", "accent", "iam-ondb", "audio", "strokes", "arrays")
COUNT = click.IntRange(min=1)


@click.command("prepare")
@click.argument("corpus", type=click.Choice(CORPORA))
@click.argument("source", metavar="SOURCE")
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="CACHE", help="The folder to make.")
@reading_options
@split_options
@click.option("--validation", "data__validation", type=float, help="Share of the validation part; default 0.05.")
@click.option("--test", "data__test", type=float, help="Share of the test part; default 0.05.")
@click.option("--sa", "own_sa", type=click.Choice(["keep", "drop"]), help="timit: what all speakers read.")
@click.option("--lists", "own_lists", type=click.Choice(["paper", "t1"]), help="iam-ondb: which list is which part.")
@click.option(
    "--shuffle", "own_shuffle", type=click.Choice(["speakers", "segments"]), help="accent: over what parts are drawn."
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Of what is drawn.")
@click.option("--jobs", type=COUNT, help="Processes that read files; default: one a core.")
def command(corpus: str, source: str, out: Path, seed: int, jobs: int | None, **given: Any) -> None:
    """Make a corpus ready once: SOURCE, as it is distributed, becomes the folder CACHE, which `--data CACHE` names.

    Killed anywhere and called again it goes on where it was.
    """
    from pyro_vrnn.commands import preparing

    own = {key.removeprefix("own_"): given.pop(key) for key in [key for key in given if key.startswith("own_")]}
    own = {key: value for key, value in own.items() if value is not None}
    preparing.run(corpus, source, out, by_room(given).get("data", {}), own, seed=seed, jobs=jobs)
