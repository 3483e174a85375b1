"""``generate``: what a model makes."""

from pathlib import Path
from typing import Any

import click

from pyro_vrnn.commands.evaluate import COUNT, SEED
from pyro_vrnn.commands.options import by_room, tracking_uri

POSITIVE = click.FloatRange(min=0, min_open=True)


@click.command("generate")
@click.argument("run")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Folder for the files.")
@click.option("--count", default=8, show_default=True, type=COUNT, help="How many, side by side.")
@click.option("--seconds", type=POSITIVE, help="How long, of sound; default 2.")
@click.option("--frames", type=COUNT, help="The same in frames; default of what has no rate: 400.")
@click.option("--prime", metavar="FILE", help="A recording to go on from; of several the first.")
@click.option("--prime-seconds", type=POSITIVE, help="Read so much of it only.")
@click.option("--temperature-z", default=1.0, show_default=True, type=POSITIVE, help="Of the prior.")
@click.option("--temperature-x", default=1.0, show_default=True, type=POSITIVE, help="Of the emission.")
@click.option("--write", default="sample", show_default=True, type=click.Choice(["sample", "mean"]),
              help="What is written: frames as drawn, or means of the emission. Drawn ones are fed back.")  # fmt: skip
@click.option("--reconstruct", metavar="FILE", help="Instead: a recording through its latents.")
@click.option("--interpolate", nargs=2, metavar="FILE FILE", help="Instead: from one's latents to another's.")
@click.option("--hold", metavar="FILE", help="Instead: the latent of a recording's middle frame, held.")
@click.option("--seed", default=0, show_default=True, type=SEED, help="Of the draws.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@tracking_uri
def command(run: str, **given: Any) -> None:
    """Write sound (WAV), ink (SVG, PNG, points) or arrays that a model makes, and what they are (generation.json).

    RUN is a tracked run (id, unique prefix or name) or a model folder. Files are named by seed, index and whether they
    are samples or means.
    """
    if given["seconds"] is not None and given["frames"] is not None:
        raise click.UsageError("--seconds and --frames: give one of them")
    if given["prime_seconds"] is not None and given["prime"] is None:
        raise click.UsageError("--prime-seconds: only beside --prime")
    uses = [name for name in ("prime", "reconstruct", "interpolate", "hold") if given[name]]
    if len(uses) > 1:
        raise click.UsageError(f"--{uses[0]} and --{uses[1]}: give one of them")
    if uses and uses != ["prime"] and not given["temperature_z"] == given["temperature_x"] == 1:
        raise click.UsageError(f"--{uses[0]}: knows no temperature; leave --temperature-z and --temperature-x out")
    if uses == ["reconstruct"] and (given["seconds"] or given["frames"]):
        raise click.UsageError("--reconstruct: is as long as the recording; leave --seconds and --frames out")
    if uses == ["interpolate"] and (given["seconds"] or given["frames"]):
        raise click.UsageError("--interpolate: is as long as the shorter one; leave --seconds and --frames out")
    from pyro_vrnn.commands import generating

    rooms = by_room(given)
    device, out = given.pop("device"), given.pop("out")
    generating.run(run, rooms, generating.Request(**given), out=out, device=device)
