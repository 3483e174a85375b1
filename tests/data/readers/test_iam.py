"""Lines of IAM-OnDB: offsets, ends of strokes, and XML that is meant to harm."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyro_vrnn.data.audio import UnusableError
from pyro_vrnn.data.readers import iam

from .files import line

POINTS = st.tuples(st.integers(-40000, 40000), st.integers(-40000, 40000))


def parse(folder: Path, content: bytes) -> np.ndarray:
    path = folder / "a01-000u-01.xml"
    path.write_bytes(content)
    (item,), skipped = iam.read(path, "a01/a01-000u-01.xml")
    assert not skipped
    assert item.name == "a01/a01-000u-01.xml"
    return item.values


@settings(max_examples=60, deadline=None)
@given(strokes=st.lists(st.lists(POINTS, max_size=6), max_size=5), block=st.integers(1, 200))
def test_offsets_and_ends_of_strokes(
    tmp_path_factory: pytest.TempPathFactory, strokes: list[list[tuple[int, int]]], block: int
) -> None:
    points = [(x, y, k == len(stroke) - 1) for stroke in strokes for k, (x, y) in enumerate(stroke)]
    folder = tmp_path_factory.mktemp("lines")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(iam, "BLOCK", block)
        if len(points) < 3:
            with pytest.raises(UnusableError, match="expected at least 3"):
                parse(folder, line(strokes))
            return
        values = parse(folder, line(strokes))
    expected = [(x - a, y - b, end) for (a, b, _), (x, y, end) in pairwise(points)]
    np.testing.assert_array_equal(values, expected)
    large = max(abs(v) for row in expected for v in row[:2]) >= 2**15
    assert values.dtype == (np.int32 if large else np.int16)


def test_the_first_point_is_dropped_and_repeated_ones_are_kept(tmp_path: Path) -> None:
    values = parse(tmp_path, line([[(5, 5)], [(7, 9), (7, 9)], [(6, 4)]]))
    assert values.tolist() == [[2, 4, 0], [0, 0, 1], [-1, -5, 1]]
    assert values.dtype == np.int16


def test_decimals_are_floats(tmp_path: Path) -> None:
    values = parse(tmp_path, line([[(0.5, 1), (1.25, 1), (2e0, -1)]]))
    assert values.dtype == np.float32
    assert values.tolist() == [[0.75, 0, 0], [0.75, -2, 1]]


def test_a_transcript_in_the_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(line([[(1, 1), (2, 2), (3, 3)]], "caf\xe9 &amp; more"))
    assert iam.read(path, "a.xml").items[0].text == "café & more"
    path.write_bytes(line([[(1, 1), (2, 2), (3, 3)]]))
    assert iam.read(path, "a.xml").items[0].text is None


ENTITIES = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
SESSION = "<WhiteboardCaptureSession>{}</WhiteboardCaptureSession>"
POINT = '<StrokeSet><Stroke><Point x="1" y="{}"/></Stroke></StrokeSet>'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f'<!DOCTYPE l [<!ENTITY l0 "lol">{ENTITIES}]>{SESSION.format("&l9;")}', "document type"),
        (f'<!DOCTYPE l [<!ENTITY l "{"l" * 10000}">]>{SESSION.format("&l;" * 10000)}', "document type"),
        (f'<!DOCTYPE l [<!ENTITY l SYSTEM "file:///etc/passwd">]>{SESSION.format("&l;")}', "document type"),
        (f'<!DOCTYPE l SYSTEM "http://localhost/l.dtd">{SESSION.format("")}', "document type"),
        (f'<!DOCTYPE l [<!ENTITY % l SYSTEM "/dev/zero"> %l;]>{SESSION.format("")}', "document type"),
        (f"<!DOCTYPE WhiteboardCaptureSession>{SESSION.format('')}", "document type"),
        (SESSION.format("&l;"), "undefined entity"),
        (SESSION.format("<a>" * 200 + "</a>" * 200), "within each other"),
        (SESSION.format(POINT.format("")), "point 1: y is ''; expected a number"),
        (SESSION.format(POINT.format("1e999")), "expected a number"),
        (SESSION.format(POINT.format("nan")), "expected a number"),
        (SESSION.format(POINT.format("1_0")), "expected a number"),
        (SESSION.format(POINT.format("9" * 5000)), "expected a number"),
        (SESSION.format('<StrokeSet><Stroke><Point y="1"/></Stroke></StrokeSet>'), "x is ''"),
        (SESSION.format(POINT.format("1")), "1 point; expected at least 3"),
        (SESSION.format('<Point x="1" y="1"/>' * 9), "0 points"),
        ("<html></html>", "XML of 'html'; expected WhiteboardCaptureSession"),
        (SESSION.format("")[:-3], "not well-formed"),
        ("text", "not well-formed"),
        ("<?xml version='1.0' encoding='rot13'?>" + SESSION.format(""), "encoded as 'rot13'; expected one of UTF-8"),
        ("<?xml version='1.0' encoding='unicode_escape'?>" + SESSION.format(""), "encoded as 'unicode_escape'"),
        ("", "empty"),
    ],
)
def test_what_is_no_line(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(UnusableError, match=reason) as caught:
        parse(tmp_path, text.encode())
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


def test_the_largest_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iam, "LARGEST", 3 << 20)
    with pytest.raises(UnusableError, match="4 MiB of XML; expected one line of at most 3 MiB"):
        parse(tmp_path, b" " * (4 << 20))


def test_offsets_beyond_32_bits(tmp_path: Path) -> None:
    with pytest.raises(UnusableError, match="32 bits"):
        parse(tmp_path, line([[(0, 0), (2**40, 0), (0, 0)]]))
