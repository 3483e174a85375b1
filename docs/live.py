"""Parts of the pages that are read from the code while they are built, so that they cannot fall behind it."""

from collections.abc import Iterable

import click
from docutils import nodes
from pydantic_core import PydanticUndefined
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from pyro_vrnn.commands.main import commands
from pyro_vrnn.model.sizes import PRESETS
from pyro_vrnn.model.variants import ALIASES, VARIANTS
from pyro_vrnn.training.config import SCHEDULES, SEGMENTS, Config


def variants_table() -> str:
    """Every row of the table of variants, as README.md shows it too."""
    aliases = {name: alias for alias, name in ALIASES.items()}
    rows = [
        (
            f"`{name}`" + (f" (`{aliases[name]}`)" if name in aliases else ""),
            row.prior or "none",
            row.guide or "none",
            row.emission,
            "x, z" if row.h_reads_z else "x",
            row.summary,
        )
        for name, row in VARIANTS.items()
    ]
    return _table(("variant", "prior", "guide", "emission", "h reads", "model and paper"), rows)


def presets_table() -> str:
    """Sizes and schedules by name."""
    rows = [
        (*(f"`{name}`", p.h, p.layers, p.z, p.depth), f"{s['learning_rate']:g}", s["batch_size"], s["epochs"], segment)
        for name, p in PRESETS.items()
        for s, segment in [(SCHEDULES[name], SEGMENTS.get(name, ""))]
    ]
    return _table(("preset", "h", "layers", "z", "depth", "learning rate", "batch", "epochs at most", "segment"), rows)


def configuration_table(room: str) -> str:
    """Every option of a room of the configuration."""
    fields = Config.model_fields[room].annotation.model_fields
    rows = []
    for name, field in fields.items():
        default = "" if field.default in (None, PydanticUndefined) else f"`{field.default}`"
        rows.append((f"`{room}.{name}`", default, field.description or ""))
    return _table(("option", "default", "meaning"), rows)


def help_of(*names: str) -> str:
    """What ``--help`` prints for a command."""
    context = click.Context(commands, info_name="cli.py", terminal_width=96, max_content_width=96)
    command: click.Command = commands
    for name in names:
        assert isinstance(command, click.Group)
        command = command.get_command(context, name)
        context = click.Context(command, info_name=name, parent=context)
    return f"$ python cli.py {' '.join((*names, '--help'))}\n{command.get_help(context)}"


def _table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    heads = tuple(heads)
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


class Table(SphinxDirective):
    """``{live-table} variants``, ``presets``, or a room of the configuration."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        made = {"variants": variants_table, "presets": presets_table}
        name = self.arguments[0]
        return self.parse_text_to_nodes(made[name]() if name in made else configuration_table(name))


class Help(SphinxDirective):
    """``{live-help} data list``."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        text = help_of(*self.arguments[0].split())
        return [nodes.literal_block(text, text, language="text")]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("live-table", Table)
    app.add_directive("live-help", Help)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
