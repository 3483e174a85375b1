"""What there is to prepare: the files of a source as they are now, and whether they are those of a prepared corpus."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ...errors import DataError
from ..audio import UnusableError
from ..recordings import Skipped, digest_of, walk
from .corpora import Plan, Recipe
from .manifest import SOURCES
from .reading import Listed, listed

SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("size", pa.int64()),
        ("written", pa.int64()),
        ("sha256", pa.string()),
        ("used", pa.bool_()),
    ]
)


def find(source: str, recipe: Recipe, own: Mapping[str, Any], seed: int) -> tuple[Path, Plan, list[Listed]]:
    """The source's folder, what its corpus makes of it, and the files to be read as they are now.

    Args:
        source: A folder, or one file.
        recipe: Of the corpus.
        own: Options of the corpus's own.
        seed: Of its parts.

    Raises:
        DataError: There is no such source, or it does not hold the corpus.
    """
    root, skipped = Path(source).expanduser(), list[Skipped]()
    try:
        if root.is_file():
            root, names = root.parent, [root.name]
        elif root.is_dir():
            names = sorted(walk(str(root), "", os.path.realpath(root), skipped, None))
        else:
            raise DataError(f"{source}: no such folder or file; expected the corpus as it is distributed")
    except OSError as error:
        raise DataError(f"{source}: {error.filename or source} cannot be read: {error.strerror}") from None
    readable = [name for name in names if is_text(name)]
    skipped += [Skipped(shown(name), "its name is no UTF-8 text; rename it") for name in names if not is_text(name)]
    plan = recipe.plan(readable, own, seed, root)
    files = []
    for used in plan.used:
        try:
            files.append(listed(root, used.name))
        except UnusableError as reason:
            skipped.append(Skipped(used.name, str(reason)))
    there = {file.name for file in files}
    kept = tuple(one for one in plan.used if one.name in there)
    return root, plan._replace(used=kept, skipped=(*plan.skipped, *sorted(skipped))), files


def write_sources(path: Path, files: Collection[Listed], digests: Mapping[str, str], used: Collection[str]) -> None:
    """Keep what the files of the source were."""
    columns = {
        "name": [file.name for file in files],
        "size": [file.size for file in files],
        "written": [file.written for file in files],
        "sha256": [digests.get(file.name, "") for file in files],
        "used": [file.name in used for file in files],
    }
    pq.write_table(pa.table(columns, schema=SCHEMA), path)


def changes(folder: Path, root: Path, files: Collection[Listed]) -> str | None:
    """How the files of a source differ from those that a corpus was prepared from, in words; None if they do not.

    A file that was written again with the same content is the same.

    Args:
        folder: Of the prepared corpus.
        root: The source.
        files: What is there now.
    """
    table = pq.read_table(folder / SOURCES, schema=SCHEMA).to_pydict()
    known = {
        name: (Listed(name, size, written), digest)
        for name, size, written, digest in zip(
            table["name"], table["size"], table["written"], table["sha256"], strict=True
        )
    }
    now = {file.name: file for file in files}
    different = {
        "new": sorted(now.keys() - known.keys()),
        "missing": sorted(known.keys() - now.keys()),
        "changed": [name for name in sorted(now.keys() & known.keys()) if not _is_same(root, now[name], *known[name])],
    }
    told = [f"{len(names)} {what} (such as {names[0]})" for what, names in different.items() if names]
    return ", ".join(told) or None


def _is_same(root: Path, now: Listed, then: Listed, digest: str) -> bool:
    if now == then or now.size != then.size:
        return now == then
    try:
        return digest_of(root / now.name).hex() == digest
    except UnusableError:
        return False


def is_text(name: str) -> bool:
    """Whether a name is UTF-8 text, as Arrow and JSON have it: file systems take any bytes."""
    return shown(name) == name


def shown(name: str) -> str:
    """A name as text, whatever its bytes are."""
    return name.encode("utf-8", "backslashreplace").decode()
