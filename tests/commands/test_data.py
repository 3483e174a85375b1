"""``data list``."""

from click.testing import CliRunner

from pyro_vrnn.commands.main import commands
from pyro_vrnn.data import EMBEDDED


def test_every_embedded_set_has_its_line() -> None:
    done = CliRunner().invoke(commands, ["data", "list"])
    assert done.exit_code == 0
    assert {"demo-speech", "demo-handwriting", "linear-gaussian"} == EMBEDDED.keys()
    for name, line in EMBEDDED.items():
        assert any(row.startswith(f"{name} ") and row.endswith(line) for row in done.output.splitlines())
    assert "--data FOLDER" in done.output
    assert "data prepare" in done.output
