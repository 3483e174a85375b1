"""``data inspect``: what it prints and writes of folders, files and embedded sets."""

import json

import numpy as np
import pytest
import soundfile

from .conftest import record

PNG = b"\x89PNG"


def test_a_folder_is_told_in_parts(command, tmp_path):
    record(tmp_path / "clips", 30)
    done = command("data", "inspect", "clips", "--out", "found", "--speaker-pattern", "^(.)")
    assert (done.status, done.err) == (0, "")
    for words in ("duration of a sequence", "dBFS", "train", "validation", "quiet (below -60 dBFS)", "inspection.png"):
        assert words in done.out
    assert "train: " not in done.out, "the table says it"
    assert (tmp_path / "found" / "inspection.png").read_bytes().startswith(PNG)
    numbers = json.loads((tmp_path / "found" / "inspection.json").read_text())
    assert numbers["kind"] == "audio"
    assert sum(part["sequences"] for part in numbers["parts"].values()) == 30
    assert {part["speakers"] for part in numbers["parts"].values()} <= {1, 2, 3}
    assert numbers["quantities"]["length"]["unit"] == "s"
    assert {path.name for path in (tmp_path / "found").iterdir()} == {"inspection.png", "inspection.json"}


def test_silence_is_warned_of(command, tmp_path):
    record(tmp_path / "clips", 30)
    soundfile.write(tmp_path / "clips" / "silent.wav", np.zeros(2000), 8000)
    done = command("data", "inspect", "clips")
    (warning,) = [line for line in done.out.splitlines() if line.startswith("warning")]
    assert warning.startswith("warning: 10 of ")
    assert warning.endswith("pass --dither")


@pytest.mark.parametrize("source", ["clips", "clips/000.wav"])
def test_what_is_too_little_for_parts_is_told_as_a_whole(command, tmp_path, source):
    record(tmp_path / "clips", 2)
    done = command("data", "inspect", source, "--out", "found")
    assert done.status == 0
    numbers = json.loads((tmp_path / "found" / "inspection.json").read_text())
    assert numbers["parts"].keys() == {"all"}


def test_an_embedded_set_of_rows(command, tmp_path):
    done = command("data", "inspect", "linear-gaussian", "--out", "found")
    assert done.status == 0
    assert "value 3 of a row" in done.out
    numbers = json.loads((tmp_path / "found" / "inspection.json").read_text())
    assert numbers["parts"]["test"] == {"sequences": 300, "frames": 12000, "seconds": None, "speakers": None}
    assert (tmp_path / "found" / "inspection.png").read_bytes().startswith(PNG)


def test_mistakes_are_one_line(command, tmp_path):
    for words, part in (
        (["nowhere"], "no such folder"),
        (["linear-gaussian", "--out", "taken"], "--out taken: a file"),
        (["linear-gaussian", "--frame", "7"], "--frame 7"),
    ):
        (tmp_path / "taken").write_text("")
        done = command("data", "inspect", *words)
        assert done.status == 2
        assert part in done.err
        assert len(done.err.splitlines()) == 1


def test_a_prepared_cache_is_told_as_its_source_is(command, tmp_path):
    record(tmp_path / "clips", 30)
    assert command("data", "prepare", "audio", "clips", "--out", "cache").status == 0
    assert command("data", "inspect", "clips", "--out", "a").status == 0
    done = command("data", "inspect", "cache", "--verify", "--out", "b")
    assert done.status == 0
    assert "every byte is as it was prepared" in done.out
    source, cache = (json.loads((tmp_path / name / "inspection.json").read_text()) for name in "ab")
    assert cache["quantities"] == source["quantities"]
    assert cache["parts"] == source["parts"]


def test_a_damaged_cache_is_found_by_verifying(command, tmp_path):
    record(tmp_path / "clips", 30)
    assert command("data", "prepare", "audio", "clips", "--out", "cache").status == 0
    values = tmp_path / "cache" / "values.npy"
    content = bytearray(values.read_bytes())
    content[-5] ^= 1
    values.write_bytes(content)
    done = command("data", "inspect", "cache", "--verify")
    assert done.status == 2
    assert "values.npy is damaged" in done.err
    done = command("data", "inspect", "clips", "--verify")
    assert (done.status, len(done.err.splitlines())) == (2, 1)
    assert "no prepared cache" in done.err
