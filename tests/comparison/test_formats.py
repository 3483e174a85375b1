import csv
import io
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyro_vrnn.commands.display import words
from pyro_vrnn.comparison.formats import Piece, Sheet, comma_separated, latex, markdown, sheets, text
from pyro_vrnn.comparison.paper import TABLE, printed
from pyro_vrnn.comparison.table import blocks
from pyro_vrnn.model.variants import ModelOptions

RNN = {"exact": np.linspace(-1000.0, -900.0, 20)}
VRNN = {
    "elbo": np.linspace(300, 350, 20),
    "iwae_40": np.linspace(310, 360, 20),
    "stepwise_40": np.linspace(320, 370, 20),
}


@pytest.fixture
def runs(made):
    made_up = [made("rnn-gauss", seed, RNN) for seed in (0, 1)]
    return made_up + [made("vrnn-gauss", seed, {k: v + seed for k, v in VRNN.items()}) for seed in (0, 1)]


def test_markdown(runs):
    said = markdown(sheets(blocks(runs, "nats"), "nats", "kinds", words))
    assert "| rnn-gauss | 1,234 | 2 | = -950.0 |  |  |  |" in said
    assert "| vrnn-gauss | 1,234 | 2 |  | ≥ 325.5 ± 0.5 | ≈₄₀ 335.5 ± 0.5 | ~₄₀ 345.5 ± 0.5 |" in said
    assert "| i.i.d. Gaussian (reference) |  |  | = -50.0 |  |  |  |" in said
    assert "± standard error over seeds" in said


def test_the_papers_layout(runs):
    said = markdown(sheets(blocks(runs, "nats", layout="paper"), "nats", "paper", words))
    assert "| rnn-gauss | = -950.0 |" in said
    assert "| vrnn-gauss | ≥ **325.5** ± 0.5  ≈₄₀ 335.5 ± 0.5  ~₄₀ 345.5 ± 0.5 |" in said


def test_data_sets_are_columns_of_the_papers_layout(made):
    found = blocks([made("rnn-gauss", 0, RNN), made("rnn-gauss", 0, RNN, checksum="b" * 64, name="more")], "nats")
    (sheet,) = sheets(found, "nats", "paper", words)
    assert [heading.partition(":")[0] for heading in sheet.header] == ["", "folder", "more"]
    assert len(sheet.rows) == 2


def test_bits_carry_the_marks_of_bits(runs):
    said = markdown(sheets(blocks(runs, "bits"), "bits", "kinds", words))
    assert re.search(r"\| vrnn-gauss .*\| ≤ -?\d+\.\d{3}", said)
    assert "less is better" in said


def test_csv_is_exact(runs):
    found = list(csv.DictReader(io.StringIO(comma_separated(blocks(runs, "nats"), "nats"))))
    assert [(line["row"], line["estimate"], line["mark"]) for line in found] == [
        ("rnn-gauss", "exact", "="),
        *(("vrnn-gauss", name, mark) for name, mark in (("elbo", "≥"), ("iwae_40", "≈"), ("stepwise_40", "~"))),
        ("iid_gaussian", "iid_gaussian", "="),
    ]
    bound = found[1]
    assert float(bound["mean"]) == np.mean([VRNN["elbo"].mean(), (VRNN["elbo"] + 1).mean()])
    assert float(bound["standard_error_over_seeds"]) == pytest.approx(0.5)
    assert (bound["seeds"], bound["sequences"], bound["kind"]) == ("0 1", "20", "bound")
    assert len(bound["runs"].split()) == 2


SPECIAL = st.text("ab1 \\{}$&#^_~%<>±≥≤≈|*-", max_size=12)


@given(st.lists(st.lists(SPECIAL, min_size=2, max_size=2), max_size=3), SPECIAL)
def test_latex_escapes_whatever_stands_in_a_table(rows, title):
    """No text opens a group, a formula or a comment, or adds a cell: only what the writer itself has put there."""
    said = latex([Sheet(title, ["a_b", "%"], rows, [title])])
    body = said[said.index(r"\begin{table}") :]
    bare = re.sub(r"\\[\\{}$&#^_%]", "", body.replace(r"\\" + "\n", "\n"))
    assert "%" not in bare
    assert "#" not in bare
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    assert bare.count("&") == 1 + len(rows)
    assert body.isascii()


def test_latex_of_numbers():
    sheet = Sheet("t", ["", "n"], [["row", (Piece("≈", "40", "-1.5", "0.2", best=True), Piece("≥", "", "3"))]])
    said = latex([sheet])
    assert r"row & $\approx_{40} \mathbf{-1.5} \pm 0.2$\quad $\geq 3$ \\" in said
    for word in (r"\toprule", r"\midrule", r"\bottomrule", r"\begin{tabular}{lr}", r"\end{table}"):
        assert word in said


def test_text_of_numbers():
    assert text([Piece("≈", "40", "395.0", "0.2")]) == "≈₄₀ 395.0 ± 0.2"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"variant": "vrnn", "preset": "timit"}, (28805, 30235)),
        ({"variant": "rnn-gauss", "preset": "iam-ondb"}, (1016,)),
        ({"variant": "vrnn-gmm", "preset": "iam-ondb", "emission": "pen"}, (1384, 1384)),
        ({"variant": "vrnn-gauss", "preset": "iam-ondb", "emission": "pen"}, ()),
        ({"variant": "vrnn-gauss", "preset": "small"}, ()),
        ({"variant": "vrnn-gauss", "preset": "timit", "guide": "smoothing"}, ()),
        ({"variant": "vrnn-gauss", "preset": "timit", "prior": "conditional"}, (28805, 30235)),
        ({"variant": "srnn", "preset": "timit"}, ()),
        ({"variant": "vrnn-gauss", "preset": "timit", "recurrence": "gru"}, ()),
        ({"variant": "vrnn-gauss", "preset": "timit", "h": 2000, "phi_x_width": 400}, (28805, 30235)),
        ({"variant": "vrnn-gauss", "preset": "timit", "h": 8}, ()),
        ({"variant": "vrnn-gauss", "preset": "timit", "prior_width": 8}, ()),
        ({"variant": "vrnn-gmm", "preset": "timit", "emission_components": 20}, (28982, 29604)),
        ({"variant": "vrnn-gmm", "preset": "timit", "emission_components": 5}, ()),
        ({"variant": "vrnn-gauss", "preset": "timit", "widths": "matched", "prior_width": 350}, (28805, 30235)),
        ({"variant": "vrnn-gauss", "preset": "timit", "widths": "matched", "z": 8}, ()),
    ],
)
def test_the_papers_own_numbers_stand_beside_the_papers_own_models(settings, expected):
    assert printed(ModelOptions(**settings)) == expected


def test_the_papers_row_and_its_remark(made):
    run = made("vrnn-gauss", 0, VRNN, settings=("model.preset=timit",))
    said = markdown(sheets(blocks([run], "nats"), "nats", "kinds", words))
    assert "| ≥ 28805  ≈ 30235 |" in said
    assert "comparable only on the same corpus" in said
    assert "28805" not in markdown(sheets(blocks([run], "bits"), "bits", "kinds", words))


def test_several_corpora_are_one_table_with_the_papers_rows_below_ours(made):
    """Table 1: a column a corpus under its name, in the order of the runs; rows in the order of the variants."""

    def run(variant, nats, preset, checksum):
        return made(variant, 0, nats, settings=(f"model.preset={preset}",), checksum=checksum * 64, name=preset)

    runs = [run("vrnn-gauss", VRNN, "blizzard", "b"), run("rnn-gauss", RNN, "timit", "c")]
    runs += [run("vrnn-gauss", VRNN, "timit", "c"), run("vrnn-gauss", VRNN, "small", "d")]
    (sheet,) = sheets(blocks(runs, "nats", layout="paper"), "nats", "paper", words)
    assert list(sheet.header) == ["", "blizzard", "timit", "small"]
    table = [[entry if isinstance(entry, str) else text(entry) for entry in row] for row in sheet.rows]
    ours = "≥ 325.0  ≈₄₀ 335.0  ~₄₀ 345.0"
    assert table[:4] == [
        ["rnn-gauss", "", "= -950.0", ""],
        ["rnn-gauss, Chung et al. 2015", "", "= -1900", ""],
        ["vrnn-gauss", ours, ours, ours],
        ["vrnn-gauss, Chung et al. 2015", "≥ 9223  ≈ 9516", "≥ 28805  ≈ 30235", ""],
    ]
    assert len(table) == 5  # and the reference, last
    assert [line.partition(":")[0] for line in sheet.remarks[:3]] == ["blizzard", "timit", "small"]


def test_data_sets_of_one_name_keep_their_titles_as_headings(made):
    runs = [made("rnn-gauss", 0, RNN), made("rnn-gauss", 0, RNN, checksum="b" * 64)]
    (sheet,) = sheets(blocks(runs, "nats"), "nats", "paper", words)
    assert [heading[-12:] for heading in sheet.header[1:]] == ["a" * 12, "b" * 12]


def test_the_papers_table_is_in_order():
    """As the paper has it: every latent model above its RNN but for handwriting's mixtures, ≈ never below ≥."""
    for rows in TABLE.values():
        assert list(rows) == ["rnn-gauss", "rnn-gmm", "vrnn-i", "vrnn-gauss", "vrnn-gmm"]
        assert [len(numbers) for numbers in rows.values()] == [1, 1, 2, 2, 2]
        assert all(numbers[0] <= numbers[-1] for numbers in rows.values())
        assert rows["rnn-gauss"][0] < rows["rnn-gmm"][0]
