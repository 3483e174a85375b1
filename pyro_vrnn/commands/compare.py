"""``compare``."""

import click


@click.command("compare")
def command() -> None:
    """Runs side by side."""
