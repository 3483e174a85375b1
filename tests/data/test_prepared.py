"""Prepared corpora: the same sequences as from files, whole or not there, and every damage has its line."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyro_vrnn.data import DataOptions, Normaliser, batches, load, look, read, scoring_batches
from pyro_vrnn.data.prepared.manifest import HEADER, VALUES, read_manifest, verify
from pyro_vrnn.data.prepared.preparing import prepare
from pyro_vrnn.errors import UserError

from .files import Refused, noise, tone, write
from .prepared import LENGTHS, contents, made, opened


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"segment": 0.03, "frame": 100},
        {"segment": 0.03, "dither": True},
        {"split": "speaker", "speaker_pattern": r"(\d)\."},
        {"test_pattern": "^more/.*[05]"},
    ],
)
def test_it_is_the_folder(folder: Path, options: dict[str, Any]) -> None:
    if "split" in options or "dither" in options:
        for name in ("silent.wav", "short.wav", "text.wav"):
            (folder / name).unlink()
    using = {key: options.get(key) for key in ("frame", "dither") if key in options}
    made(folder, seed=3, **{key: value for key, value in options.items() if key != "dither"})
    cache, direct = load(opened(folder, **using), seed=3), load(DataOptions(source=str(folder), **options), seed=3)
    told, expected = cache.describe(), direct.describe()
    for name in ("name", "checksum"):
        assert told.pop(name) != expected.pop(name)
    assert told == expected
    assert set(cache.skipped) == set(direct.skipped)
    for part in ("train", "validation", "test"):
        one, two = getattr(cache, part), getattr(direct, part)
        assert list(one.names) == list(two.names)
        assert (one.speakers and list(one.speakers)) == (two.speakers and list(two.speakers))
        np.testing.assert_array_equal(one.lengths, two.lengths)
        for i in range(len(one)):
            np.testing.assert_array_equal(one.samples(i), two.samples(i))
            np.testing.assert_array_equal(one[i], two[i])
            assert one[i].flags.writeable
        copy = pickle.loads(pickle.dumps(one))[1:][::2]
        for i in range(len(copy)):
            np.testing.assert_array_equal(copy[i], two[1 + 2 * i])
            np.testing.assert_array_equal(copy.read(i, 1, -1), two[1 + 2 * i][1:-1])
    for x, y in zip(batches(cache.train, 4, shuffle=1), batches(direct.train, 4, shuffle=1), strict=True):
        assert all((a == b).all() for a, b in zip(x, y, strict=True))
    normaliser = Normaliser(0.01, 0.2)
    everything, _, lsb, lossless = read(opened(folder, **using), normaliser, seed=3)
    whole = read(DataOptions(source=str(folder), **options), normaliser, seed=3)
    assert (list(everything.names), lsb, lossless) == (list(whole.sequences.names), whole.lsb, whole.lossless)
    np.testing.assert_array_equal(everything[3], whole.sequences[3])


def test_other_frames_and_segments_may_be_cut_from_it(folder: Path) -> None:
    made(folder, validation=0.3, test=0.3)
    given = {"frame": 50, "segment": 0.05}
    cache = load(opened(folder, **given), seed=0)
    assert {n for part in (cache.train, cache.validation, cache.test) for n in part.lengths.tolist()} == {16}
    assert cache.normaliser == load(opened(folder), seed=0).normaliser, "statistics are those of the preparation"
    one, short, *_ = read(opened(folder, **given), cache.normaliser)
    two, skipped, *_ = read(DataOptions(source=str(folder), **given), cache.normaliser)
    assert list(one.names) == list(two.names)
    assert {path for path, _ in short} == {path for path, _ in skipped}
    assert dict(short)["004.wav"] == "650 samples are less than a segment of 16 frames of 50"
    for i in range(len(one)):
        np.testing.assert_array_equal(one.samples(i), two.samples(i))


@pytest.mark.parametrize("jobs", [1, 2])
def test_any_number_of_processes_gives_the_same_bytes(folder: Path, jobs: int) -> None:
    made(folder, "one")
    made(folder, "two", jobs=jobs)
    assert contents(folder.parent / "one") == contents(folder.parent / "two")
    assert verify(folder.parent / "two") == read_manifest(folder.parent / "one")
    assert np.load(folder.parent / "one" / VALUES, mmap_mode="r").shape == (sum(2 * LENGTHS) + 900,)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["clips", "one", "two"], "nothing is left beside"


def test_files_of_several_precisions_share_the_widest(tmp_path: Path) -> None:
    for i in range(5):
        write(tmp_path / "clips" / f"{i}.wav", noise(1000, seed=i))
    write(tmp_path / "clips" / "3.wav", tone(1000), subtype="PCM_24")
    made(tmp_path / "clips")
    cache, direct = load(opened(tmp_path / "clips"), seed=0), load(DataOptions(source=str(tmp_path / "clips")), seed=0)
    assert read_manifest(tmp_path / "cache").dtype == "float32"
    assert (cache.lsb, cache.lossless) == (direct.lsb, direct.lossless) == (2.0**-23, True)
    for part in ("train", "validation", "test"):
        for x, y in zip(getattr(cache, part), getattr(direct, part), strict=True):
            np.testing.assert_allclose(x, y, atol=1e-6)


def truncated(cache: Path) -> None:
    os.truncate(cache / VALUES, (cache / VALUES).stat().st_size - 1)


def edited(name: str, change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def edit(cache: Path) -> None:
        told = json.loads((cache / "manifest.json").read_text())
        change(told)
        (cache / "manifest.json").write_text(json.dumps(told))

    edit.__name__ = name
    return edit


def flipped(name: str, at: int) -> Callable[[Path], None]:
    def flip(cache: Path) -> None:
        content = bytearray((cache / name).read_bytes())
        content[at] ^= 4
        (cache / name).write_bytes(content)

    flip.__name__ = f"{name}-{at}"
    return flip


DAMAGE: list[tuple[Callable[[Path], None], str]] = [
    (truncated, "values.npy is damaged ("),
    (lambda cache: (cache / VALUES).unlink(), "values.npy is missing"),
    (lambda cache: (cache / "index.parquet").unlink(), "index.parquet is missing"),
    (lambda cache: (cache / "manifest.json").unlink(), "manifest.json is missing"),
    (lambda cache: os.truncate(cache / "manifest.json", 700), "manifest.json is damaged (not JSON)"),
    (edited("newer", lambda told: told.update(version=7)), "version 7 of the format"),
    (edited("less", lambda told: told.pop("dtype")), "manifest.json is damaged (dtype: Field required)"),
    (edited("mean", lambda told: told["statistics"][0].__setitem__(1, 0.5)), "manifest.json is damaged (its checksum"),
    (edited("other", lambda told: told.update(dtype="float32")), "manifest.json is damaged"),
    (flipped(VALUES, 9), "values.npy is damaged (its header"),
    (flipped("index.parquet", 60), "index.parquet is damaged (its checksum"),
]


@pytest.mark.parametrize(("damage", "said"), DAMAGE, ids=[said for _, said in DAMAGE])
def test_damage_is_seen_when_it_is_opened(
    folder: Path, refused: Refused, damage: Callable[[Path], None], said: str
) -> None:
    made(folder)
    damage(folder.parent / "cache")
    for work in (load, look, lambda options, **_: read(options, Normaliser(0.0, 1.0))):
        with refused("--data", "cache", said):
            work(opened(folder), **({"seed": 0} if work is load else {}))  # type: ignore[operator]
    with refused("--out", said):
        made(folder)


def test_one_bit_is_seen_by_whoever_reads_all(folder: Path, refused: Refused) -> None:
    made(folder)
    verify(folder.parent / "cache")
    flipped(VALUES, 5000)(folder.parent / "cache")
    load(opened(folder), seed=0)
    with refused("values.npy is damaged (its checksum is another)"):
        verify(folder.parent / "cache")


def test_a_corpus_that_goes_while_it_is_used(folder: Path, refused: Refused) -> None:
    made(folder)
    corpus = load(opened(folder), seed=0)
    shutil.rmtree(folder.parent / "cache")
    assert corpus.train[0].shape[1] == 200, "what is open stays"
    made(folder)
    corpus = load(opened(folder), seed=0)
    os.truncate(folder.parent / "cache" / VALUES, HEADER)
    with refused("has become shorter"):
        corpus.train[0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"split": "speaker", "speaker_pattern": "(.)"}, "--split was decided"),
        ({"test_pattern": "0"}, "--test-pattern was decided"),
        ({"validation": 0.2}, "--set data.validation was decided"),
        ({"resample": True}, "--resample was decided"),
        ({"mix": True}, "--mix was decided"),
        ({"sample_rate": 8000}, "holds 16000 Hz, not 8000 Hz"),
        ({"normaliser": "released"}, "--normaliser released"),
        ({"segment": 9.0}, "no sequence of its"),
        ({"segment": 0.01}, "shorter than two frames"),
    ],
)
def test_what_was_decided_is_refused(folder: Path, refused: Refused, options: dict[str, Any], said: str) -> None:
    made(folder)
    with refused(said):
        load(opened(folder, **options), seed=0)


def test_noise_where_it_would_bound_nothing(folder: Path, refused: Refused) -> None:
    write(folder / "lossy.ogg", noise(4000))
    made(folder)
    assert load(opened(folder), seed=0).lossless is False
    with refused("lossy.ogg: is lossy", "--dither"):
        load(opened(folder, dither=True), seed=0)


def test_what_cannot_be_prepared(folder: Path, tmp_path: Path, refused: Refused) -> None:
    for given, said in (
        ({"name": "clips/inside"}, "lies in the source"),
        ({"dither": True}, "--dither: said where"),
        ({"own": {"sa": "drop"}}, "--sa: .* has no such option"),
        ({"split": "speaker"}, "the speaker of 000.wav is not known"),
        ({"split": "list"}, "no list"),
        ({"validation": 0.9, "test": 0.9}, "too few"),
    ):
        with pytest.raises(UserError, match=said) as caught:
            made(folder, **given)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with refused("exists and is no prepared corpus"):
        made(folder, "full")
    with refused("nowhere", "no such folder or file"):
        made(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with refused("no files of its kind", "another folder"):
        made(tmp_path / "empty")
    for path in folder.rglob("*.*"):
        if path.name != "text.wav":
            path.unlink()
    with refused("none of 1 audio files is usable", "text.wav"):
        made(folder, "other")
    for i in range(4):
        write(folder / f"{i}.wav", np.full(1000, 5, np.int16))
    with refused("the training part is constant"):
        made(folder, "flat")


def test_of_what_cannot_be_used_nothing_is_left(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "text.wav").write_text("text")
    with refused("none of 1 audio files is usable"):
        made(tmp_path / "clips")
    assert [path.name for path in tmp_path.iterdir()] == ["clips"]


def test_what_is_made_of_one_file_may_lie_beside_it(tmp_path: Path, refused: Refused) -> None:
    write(tmp_path / "clips" / "long.wav", noise(20_000))
    given = DataOptions(source=str(tmp_path / "clips" / "long.wav"))
    with refused("too few"):  # files, but it was read
        prepare("audio", given, tmp_path / "clips" / "cache")
    with refused("lies in the source"):
        prepare("audio", DataOptions(source=str(tmp_path / "clips")), tmp_path / "clips" / "cache")


def test_folders_whose_names_are_no_text_are_refused(folder: Path, refused: Refused) -> None:
    other = folder.rename(folder.parent / os.fsdecode(b"clips\xff"))
    with refused("SOURCE", "clips\\udcff", "no UTF-8 text"):
        prepare("audio", DataOptions(source=str(other)), folder.parent / "cache")
    with refused("--out", "cache\\udcff", "no UTF-8 text"):
        prepare("audio", DataOptions(source=str(other.rename(folder))), folder.parent / os.fsdecode(b"cache\xff"))


def test_rates_and_channels_follow_the_rules_of_folders(folder: Path, refused: Refused) -> None:
    write(folder / "other.wav", noise(8000), 8000)
    with refused("other.wav: 8000 Hz", "--resample"):
        made(folder)
    write(folder / "stereo.wav", np.stack([noise(2000)] * 2, axis=1))
    with refused("stereo.wav: 2 channels", "--mix"):
        made(folder, resample=True)
    made(folder, resample=True, mix=True, seed=2)
    given = DataOptions(source=str(folder), resample=True, mix=True)
    cache, direct = load(opened(folder), seed=2), load(given, seed=2)
    assert not cache.lossless
    assert cache.normaliser == direct.normaliser
    assert list(cache.test.names) == direct.test.names


def test_long_recordings_are_read_in_pieces(folder: Path) -> None:
    write(folder / "long.wav", noise(200_000))
    made(folder)
    source, *_ = read(opened(folder, frame=20), Normaliser(0.0, 0.1))
    (long,) = (x for x, _, _ in scoring_batches(source, 2, longest=5000) if x.shape[1] > 5000)
    whole = noise(200_000).reshape(-1, 20) / 2**15 / 0.1
    np.testing.assert_allclose(long[:, 100:130][0], whole[100:130], atol=1e-5)
