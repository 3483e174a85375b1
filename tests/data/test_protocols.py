"""What protocols make of the corpora as they are distributed."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyro_vrnn.data.options import DataOptions
from pyro_vrnn.data.protocols import PROTOCOLS, side_files
from pyro_vrnn.errors import ConfigurationError, DataError

from . import corpora
from .corpora import WRITERS, plan
from .files import Refused

FOLDERS = ["TRAIN/DR1/FCJF0", "train/dr1/mabc0", "TEST/DR2/MABC1", "dr9", "segmented", "wavn", "lineStrokes/a01", "é"]
FILES = [
    "SA1.WAV",
    "sa1.wav",
    "SA1.WAV.wav",
    "SX1.sph",
    ".wav",
    "._x.wav",
    "�.wav",
    "english1.mp3",
    "x.npz",
    "a.csv",
    "prompts.gui",
    "forms.txt",
    "a01-000u-01.xml",
    "a01-000u.txt",
    "strokesu.xml",
    "speakers_all.csv",
    "reading-passage.txt",
    "trainset.txt",
    "testset_v.txt",
    "testset_t.txt",
    "testset_f.txt",
]
PATHS = st.builds(
    lambda folders, name: "/".join([*folders, name]),
    st.lists(st.sampled_from(FOLDERS), max_size=3),
    st.sampled_from(FILES),
)
TEXTS = st.one_of(
    st.none(),
    st.sampled_from(["", "a01-000u\n", "CSR:\n\nx\n", '<Form writerID="1"', "0 1 x", "a,b\n1\n", "filename\nx\0"]),
    st.text(max_size=40),
)


@pytest.mark.parametrize("corpus", WRITERS)
def test_a_plan_is_a_function_of_the_names_and_not_of_their_order(corpus: str, tmp_path: Path) -> None:
    WRITERS[corpus](tmp_path)
    found = corpora.names_in(tmp_path)
    planned = plan(corpus, tmp_path)
    assert planned == plan(corpus, tmp_path, names=found[::-1])
    listed = [one.name for one in planned.used] + [one.path for one in planned.skipped]
    assert len(set(listed)) == len(listed)
    assert set(listed) <= set(found)
    assert [one.name for one in planned.used] == sorted(one.name for one in planned.used)
    assert (planned.drawn is None) == (corpus in ("timit", "iam-ondb"))
    assert all((one.part is None) == (planned.drawn is not None) for one in planned.used)


@pytest.mark.parametrize("corpus", PROTOCOLS)
def test_a_folder_of_something_else_is_refused_in_one_line(corpus: str, tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "notes.md").write_text("nothing")
    with refused(corpus, "expected"):
        plan(corpus, tmp_path)


@pytest.mark.parametrize("corpus", PROTOCOLS)
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_any_names_and_any_side_files_give_a_plan_or_one_line(corpus: str, data: st.DataObject) -> None:
    names = data.draw(st.lists(PATHS, unique=True, max_size=12))
    contents = {name: data.draw(TEXTS, label=name) for name in names}
    protocol = PROTOCOLS[corpus]
    try:
        planned = protocol.plan(names, protocol.parse({}), seed=0, side=lambda name, limit=0: contents[name])
    except DataError as error:
        message = str(error)
    else:
        message = ""
        assert planned.used
        assert {one.name for one in planned.used}.isdisjoint(one.path for one in planned.skipped)
    assert "\n" not in message


def test_folders_without_a_protocol_use_their_own_kind() -> None:
    names = ["a.wav", "b/c.flac", "d.npz", "e.npy", "f.csv", "g.parquet", "h.txt", "i.WAV"]
    expected = {
        "audio": ["a.wav", "b/c.flac", "i.WAV"],
        "onomatopoeia": ["a.wav", "b/c.flac", "i.WAV"],
        "strokes": ["d.npz", "e.npy"],
        "arrays": ["d.npz", "e.npy", "f.csv", "g.parquet"],
    }
    for corpus, used in expected.items():
        planned = plan(corpus, Path("nowhere"), names=names)
        assert [one.name for one in planned.used] == used
        assert planned.drawn == "files"


@pytest.mark.parametrize(
    ("corpus", "given", "message"),
    [
        ("timit", {"lists": "t1"}, "--lists: timit has no such option; expected one of its own: --sa, --validation"),
        ("audio", {"sa": "keep"}, "--sa: audio has no such option; it has none of its own; leave it out"),
        ("timit", {"sa": "no"}, "--sa no: timit: Input should be 'keep' or 'drop'"),
        ("iam-ondb", {"lists": "t2"}, "--lists t2: iam-ondb: Input should be 'paper' or 't1'"),
    ],
)
def test_options_a_corpus_has_not_are_refused(corpus: str, given: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        PROTOCOLS[corpus].parse(given)
    assert str(caught.value) == message


def test_defaults_are_the_papers() -> None:
    converted = {"sample_rate": 16000, "resample": True, "mix": True}
    expected = {
        "blizzard": converted | {"segment": 0.5},
        "timit": {"sample_rate": 16000, "segment": 0.0},
        "onomatopoeia": converted | {"segment": 0.0},
        "accent": converted | {"segment": 0.5},
    }
    for name, protocol in PROTOCOLS.items():
        assert protocol.name == name
        assert protocol.defaults.options() == expected.get(name, {})
        assert DataOptions(**protocol.defaults.options()).split == "random"
    assert PROTOCOLS["iam-ondb"].defaults.kind == PROTOCOLS["strokes"].defaults.kind == "pen"


def test_side_files_are_text_of_any_age(tmp_path: Path) -> None:
    side = side_files(tmp_path)
    (tmp_path / "new.txt").write_bytes("\ufeffnaïve".encode())
    (tmp_path / "old.txt").write_bytes("naïve".encode("latin-1"))
    assert side("new.txt") == side("old.txt") == "naïve"
    assert side("old.txt", 2) == "na"
    assert side("none.txt") is None
    assert side(".") is None
