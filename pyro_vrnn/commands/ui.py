"""``ui``: MLflow's UI on the tracking store."""

import sys
from typing import Any

import click

from pyro_vrnn.commands.options import by_room, tracking_uri


@click.command("ui")
@tracking_uri
@click.option("--port", default=5000, show_default=True, help="Port on this machine.")
def command(port: int, **given: Any) -> None:
    """Open the MLflow UI on the tracking store; Ctrl-C ends it."""
    from pyro_vrnn.tracking import serve_ui, tracking_uri, ui_address

    uri = tracking_uri(by_room(given).get("tracking", {}).get("uri"))
    click.echo(f"open {ui_address(uri, port=port)}")
    sys.exit(serve_ui(uri, port=port))
