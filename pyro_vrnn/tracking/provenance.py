"""What a run was made with, so that it can be made again."""

import getpass
import platform
import shlex
import sys
from contextlib import suppress
from pathlib import Path

import pyro_vrnn
from pyro_vrnn.tracking.store import shown

PACKAGES = {"torch": "torch", "pyro": "pyro-ppl", "mlflow": "mlflow"}
GIT_SECONDS = 10


def provenance() -> dict[str, str]:
    """Versions, platform, command line and commit, as tags; MLflow's own names where it shows them.

    The commit is this package's if it runs from a checkout, else that of the working directory's. Nothing is imported
    to learn a version.
    """
    from importlib.metadata import PackageNotFoundError, version  # 40 ms, not for every `--help`

    # A cell of a grid and a rank of a job are started by `python -c`; the installed command does the same.
    program = "pyro-vrnn" if sys.argv[0] == "-c" else sys.argv[0]
    tags = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "pyro_vrnn": pyro_vrnn.__version__,
        "command": shown(shlex.join([program, *sys.argv[1:]])),
        "mlflow.source.name": Path(program).name,  # the UI shows what follows the last slash
        "mlflow.source.type": "LOCAL",
    }
    for name, distribution in PACKAGES.items():
        try:
            tags[name] = version(distribution)
        except PackageNotFoundError:
            continue
    with suppress(OSError, KeyError):  # a container's user may have no name
        tags["mlflow.user"] = getpass.getuser()
    return tags | (_commit(Path(pyro_vrnn.__file__)) or _commit(Path.cwd()))


def _commit(path: Path) -> dict[str, str]:
    folder = path if path.is_dir() else path.parent
    # A package installed into somebody's checkout, in its virtual environment, is not part of it.
    if path.is_file() and _git(folder, "ls-files", "--error-unmatch", path.name) is None:
        return {}
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return {}
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"mlflow.source.git.commit": commit, "git.dirty": str(changes != "").lower()}


def _git(folder: Path, *arguments: str) -> str | None:
    import subprocess

    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=GIT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
