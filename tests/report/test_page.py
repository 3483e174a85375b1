import base64
import re
from html.parser import HTMLParser

import pytest

from pyro_vrnn.report import Details, Line, Page, Panel, Picture, Piece, Table

WICKED = '<script>alert("1")</script>&'
VOID = {"meta", "link", "img", "line", "path", "polyline", "circle", "br"}


class Reader(HTMLParser):
    """Collects elements, and sees that they are closed in order."""

    def __init__(self, html):
        super().__init__()
        self.open, self.elements, self.text = [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def full(words=WICKED):
    return Page(
        title=words,
        summary=words,
        facts={words: f"{words}\n{words}"},
        results=Table([words, "empty"], [[words, words, ""]], f"{words}\n{words}"),
        lines=[words],
        warnings=[words],
        panels=[Panel(words, words, words, [Line(words, [(0, 1.0), (1, 2.0)])])],
        pieces=[Piece(words, words, "<svg></svg>", b"RIFF")],
        pieces_note=words,
        pictures=[Picture(words, words, b"png")],
        measures=Table([words], [[words, words]], words),
        details=[Details(words, words)],
        footer=words,
    )


def test_everything_is_escaped_and_closed():
    html = full().html()
    reader = Reader(html)
    assert not reader.all("script")
    assert "<script" not in html
    assert "".join(reader.text).count(WICKED) >= 15


def test_a_page_loads_nothing_and_everything_has_words():
    reader = Reader(full("words").html())
    for _, attributes in reader.elements:
        for name in ("src", "href"):
            assert attributes.get(name, "data:").startswith("data:")
    assert "url(" not in full().html()
    assert all(image["alt"] for image in reader.all("img"))
    assert all(sound["aria-label"] for sound in reader.all("audio"))
    assert reader.all("html")[0]["lang"] == "en"
    assert any(meta.get("name") == "viewport" for meta in reader.all("meta"))


def test_files_are_inside_byte_by_byte():
    reader = Reader(full().html())
    assert base64.b64decode(reader.all("audio")[0]["src"].partition("base64,")[2]) == b"RIFF"
    assert base64.b64decode(reader.all("img")[0]["src"].partition("base64,")[2]) == b"png"


def test_a_column_without_a_cell_is_left_out():
    html = full("words").html()
    assert "empty" not in html


def test_what_is_empty_has_no_heading():
    html = Page("a", "b", {}, Table(["x"], [["row", "1"]])).html()
    Reader(html)
    assert re.findall("<h2>(.*?)</h2>", html) == ["Results"]


@pytest.mark.parametrize(("wav", "heading"), [(b"RIFF", "Listen"), (None, "Look")])
def test_ink_is_looked_at(wav, heading):
    html = Page("a", "b", {}, Table([], []), pieces=[Piece("p", "w", "<svg></svg>", wav)]).html()
    assert f"<h2>{heading}</h2>" in html
    assert ("<audio" in html) is (wav is not None)
