"""A folder of this user's for what is made once and read often."""

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from ..errors import DataError

VARIABLE = "PYRO_VRNN_CACHE"
MANIFEST = "manifest.json"
ABANDONED = 24 * 3600.0  # seconds after which an unfinished folder belongs to a process that has died


def cache_folder() -> Path:
    """`$PYRO_VRNN_CACHE`, or `pyro_vrnn` in the platform's folder for caches."""
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE]).expanduser()
    if sys.platform == "win32" and os.environ.get("LOCALAPPDATA"):
        return Path(os.environ["LOCALAPPDATA"]) / "pyro_vrnn" / "Cache"
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"]) / "pyro_vrnn"
    return Path(os.path.expanduser("~/Library/Caches" if sys.platform == "darwin" else "~/.cache")) / "pyro_vrnn"


def cached(name: str, build: Callable[[Path], dict[str, object]]) -> Path:
    """The finished folder `name` of the cache, built where it is missing.

    It is built aside, brought to disk and renamed, so that others see all of it or nothing. Of two processes that build
    at once the second takes the first one's folder. A finished folder is never written to, moved or removed: where
    files were taken from it later, the next free name is used.

    Args:
        name: The folder's name, which says what is in it, recipe included.
        build: Fills an empty folder and returns what its manifest records.

    Raises:
        DataError: The cache cannot be written to.
    """
    root = cache_folder()
    try:
        root.mkdir(parents=True, exist_ok=True)
        for attempt in count():
            final = root / (f"{name}.{attempt}" if attempt else name)
            if _is_complete(final):
                return final
            if not final.exists():
                _build(final, build)
                if _is_complete(final):
                    return final
    except OSError as error:
        raise DataError(
            f"{root}: the cache cannot be written ({error.strerror or error}); set {VARIABLE} to a folder that can"
        ) from None
    raise AssertionError("unreachable")


def _build(final: Path, build: Callable[[Path], dict[str, object]]) -> None:
    for left in final.parent.glob(f".{final.name}-*"):
        if time.time() - left.stat().st_mtime > ABANDONED:
            shutil.rmtree(left, ignore_errors=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{final.name}-", dir=final.parent))
    try:
        aside.chmod(0o755)
        record = build(aside)
        files = {str(path.relative_to(aside).as_posix()): path for path in sorted(aside.rglob("*")) if path.is_file()}
        sizes = {name: path.stat().st_size for name, path in files.items()}
        (aside / MANIFEST).write_text(json.dumps(record | {"files": sizes}, indent=1), encoding="utf-8")
        for path in (*aside.rglob("*"), aside):
            synced(path)
        try:
            aside.rename(final)
        except OSError:
            if not final.exists():
                raise
        synced(final.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _is_complete(folder: Path) -> bool:
    try:
        sizes = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def synced(path: Path) -> None:
    """Bring a file, or the names in a folder, to disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open folders
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
