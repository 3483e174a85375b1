"""Whatever the bytes are, every parser gives sequences or one line, runs nothing and allocates little."""

import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyro_vrnn.data.audio import UnusableError
from pyro_vrnn.data.readers import Contents

from .files import SOUND, read

RUNS = {"os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "pickle.find_class", "compile", "exec"}
MEMORY = 48 << 20  # bytes; the parsers' own blocks, and what files of some kilobytes can need

_events: list[str] | None = None


def _listen(event: str, _: Any) -> None:
    if _events is not None and event in RUNS:
        _events.append(event)


sys.addaudithook(_listen)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hostile")
    for form, (_, _, content) in SOUND.items():  # what is loaded at first use is loaded now
        read(form, path, content)
    return path


def outcome(form: str, folder: Path, content: bytes) -> Contents | str:
    """What a parser makes of some bytes, having kept all promises."""
    global _events
    found: Contents | str
    events: list[str] = []
    _events = events
    tracemalloc.start()
    try:
        found = read(form, folder, content)
    except UnusableError as reason:
        found = str(reason)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        _events = None
    assert peak < MEMORY
    assert not events
    reasons = [found] if isinstance(found, str) else [reason for _, reason in found.skipped]
    for reason in reasons:
        assert reason
        assert reason.isprintable()
        assert len(reason) < 300
    if not isinstance(found, str):
        name = SOUND[form][1]
        assert len({item.name for item in found.items}) == len(found.items)
        for item in found.items:
            assert item.name.startswith(name)
            assert item.part in (None, "train", "validation", "test")
            assert item.values.dtype in (np.int16, np.int32, np.float32)
            assert item.values.ndim == 2
            assert len(item.values) >= 2
            assert np.isfinite(item.values).all()
    return found


@pytest.mark.parametrize("form", SOUND)
def test_sound_files_are_read_whole(form: str, folder: Path) -> None:
    found = outcome(form, folder, SOUND[form][2])
    assert isinstance(found, Contents)
    assert found.items
    assert not found.skipped


@pytest.mark.parametrize("form", SOUND)
def test_files_cut_anywhere(form: str, folder: Path) -> None:
    content = SOUND[form][2]
    step = max(1, len(content) // 100)
    for size in {*range(0, len(content), step), *range(max(0, len(content) - 20), len(content))}:
        found = outcome(form, folder, content[:size])
        if form not in ("csv", "integers in csv", "line"):
            assert isinstance(found, str) or found.skipped, f"{size} of {len(content)} bytes pass for a sound file"


@pytest.mark.parametrize("form", SOUND)
@settings(max_examples=50, deadline=None)
@given(changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4))
def test_files_with_changed_bytes(form: str, folder: Path, changes: list[tuple[float, int]]) -> None:
    content = bytearray(SOUND[form][2])
    for place, value in changes:
        content[int(place * len(content))] = value
    outcome(form, folder, bytes(content))


@pytest.mark.parametrize("form", SOUND)
@settings(max_examples=30, deadline=None)
@given(content=st.binary(max_size=600), kept=st.floats(0, 1))
@example(content=b"", kept=0.0)
def test_any_bytes_after_a_sound_beginning(form: str, folder: Path, content: bytes, kept: float) -> None:
    start = SOUND[form][2]
    outcome(form, folder, start[: int(kept * len(start))] + content)
