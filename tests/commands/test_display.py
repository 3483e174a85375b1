"""The closing table, as it is read."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from pyro_vrnn.commands import display
from pyro_vrnn.inference.results import Compression, Estimate, Kind, Scale

ROWS = {
    "elbo": Kind.BOUND,
    "iwae_40": Kind.CONSISTENT,
    "smc_1000": Kind.CONSISTENT,
    "stepwise_40": Kind.ESTIMATE,
    "iid_gaussian": Kind.EXACT,
    "diagonal_innovations": Kind.EXACT,
    "generating_model": Kind.EXACT,
}
FLAC = [Compression("flac", 9.417)]


def estimates(std_lsb: float | None = 2645.2, *, dithered: bool = False, R: int = 3, n: int = 40) -> list[Estimate]:
    rng = np.random.default_rng(0)
    scale, frames = Scale(200, std_lsb, dithered), rng.integers(20, 60, n)
    return [
        Estimate.from_repeats(
            name, kind, -12345 + 3900 * rng.standard_normal(n) + rng.standard_normal((R, n)), frames, scale
        )
        for name, kind in ROWS.items()
    ]


def printed(table: object, width: int = 160) -> str:
    console = Console(width=width, highlight=False, markup=False, soft_wrap=True)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def test_every_row_has_its_words_marks_interval_and_noise():
    given = estimates()
    text = printed(display.results_table(given, "a title", FLAC))
    assert text.startswith("a title\n")
    words = {
        "elbo": "bound (ELBO)",
        "iwae_40": "importance sampling, 40 samples",
        "smc_1000": "particle filter, 1000 particles",
        "stepwise_40": "per-step averages, 40 samples",
        "iid_gaussian": "i.i.d. Gaussian (reference)",
        "diagonal_innovations": "ceiling of diagonal innovations (reference)",
        "generating_model": "generating model (reference)",
    }
    for one in given:
        low, high = one.interval()
        mark, bits = one.kind.mark, one.kind.bits_mark
        cells = (
            f"{words[one.name]}  {mark} {one.per_sequence:.1f}  {low:.0f} to {high:.0f}  {one.monte_carlo_error:.2g}"
            f"  {mark} {one.per_frame:.2f}  {mark} {one.per_dimension:.4f}  {bits} {one.bits_per_sample:.3f}"
        )
        assert re.search(r"\s+".join(map(re.escape, cells.split("  "))), text), cells
    assert re.search(r"FLAC \(compression, reference\) +\= 9\.417 *\n", text)
    headings = "nats / sequence  95 % interval  ± Monte Carlo  nats / frame  nats / dimension  bits / sample"
    assert re.search(" +".join(map(re.escape, headings.split("  "))), text)


def test_a_single_draw_of_a_single_sequence_leaves_cells_empty():
    text = printed(display.results_table(estimates(None, R=1, n=1), ""))
    row = next(line for line in text.splitlines() if "bound (ELBO)" in line)
    assert re.fullmatch(r" *bound \(ELBO\) +≥ -[\d.]+ +≥ -[\d.]+ +≥ -[\d.]+ *", row)


@pytest.mark.parametrize("width", [160, 80])
def test_the_table_fits_and_no_number_is_cut(width):
    given = estimates()
    table, caption = printed(display.results_table(given, "", FLAC), width).split("= exact")
    assert max(map(len, table.splitlines())) <= width
    assert "…" not in table
    for one in given:
        low, high = one.interval()
        for cell in (
            f"{one.kind.mark} {one.per_sequence:.1f}",
            f"{low:.0f} to {high:.0f}",
            f"{one.kind.mark} {one.per_dimension:.4f}",
            f"{one.kind.bits_mark} {one.bits_per_sample:.3f}",
        ):
            assert cell in table
    for word in ("ceiling", "diagonal", "innovations", "importance", "compression"):
        assert word in table
    assert table.count("nats / sequence") == table.count("bits / sample") == 1
    assert "95 % interval" in caption


def test_a_file_gets_the_whole_table_in_a_line_a_row():
    console = display.console()
    if console.is_terminal:
        pytest.skip("a terminal has a width of its own")
    with console.capture() as captured:
        console.print(display.results_table(estimates(), "", FLAC))
    assert re.search(r"ceiling of diagonal innovations \(reference\) .*= ", captured.get())


def test_the_caption_explains_the_marks_that_occur():
    text = printed(display.results_table(estimates(), ""))
    for words in ("= exact", "≥ lower bound (≤ on bits)", "≈ below log p in expectation, tending to it", "~ neither"):
        assert words in text
    assert "95 % interval: of nats / sequence, over sequences" in text
    assert "± Monte Carlo: standard error of the noise" in text
    exact = printed(display.results_table([estimates(None, R=1)[-1]], ""))
    assert "= exact" in exact
    for words in ("lower bound", "on bits", "neither", "standard error of the noise"):
        assert words not in exact


@pytest.mark.parametrize(
    ("std_lsb", "dithered", "compressions", "said"),
    [
        (2000.0, False, FLAC, True),
        (2000.0, True, FLAC, False),
        (2000.0, False, [], False),
        (None, False, FLAC, False),
    ],
)
def test_bits_of_a_density_are_no_code_length_without_dither(std_lsb, dithered, compressions, said):
    text = printed(display.results_table(estimates(std_lsb, dithered=dithered), "", compressions))
    assert ("no code lengths" in text) == ("--dither" in text) == said


def test_under_dither_nothing_is_exact_but_the_compressor():
    table = printed(display.results_table(estimates(dithered=True), "", FLAC))
    assert table.count("= ") == 1
    assert "= 9.417" in table


def test_results_hold_compressors_apart():
    given = estimates()
    held = display.as_json(given, compressions=FLAC, seed=3)
    assert held["seed"] == 3
    assert list(held["results"]) == list(ROWS)
    assert held["results"]["elbo"] == given[0].as_dict()
    assert held["compressions"] == {"flac": {"kind": "exact", "mark": "=", "bits_per_sample": 9.417}}
    assert "compressions" not in display.as_json(given)
    json.dumps(held, allow_nan=False)


def test_gaps_to_references_are_paired():
    scale, frames = Scale(4), np.array([40, 40, 40])
    floor = Estimate("iid_gaussian", Kind.EXACT, np.array([-100.0, -200.0, -300.0]), frames, scale)
    ours = Estimate("elbo", Kind.BOUND, np.array([-1.0, -2.0, -3.0]), frames, scale)
    best = Estimate("generating_model", Kind.EXACT, np.array([0.0, 0.0, -1.0]), frames, scale)
    (line,) = display.gap_lines([ours, floor, best])
    share = 198 / (200 - 1 / 3)
    error = np.std([1, 2, 2], ddof=1) / 3**0.5
    assert line.startswith(
        f"bound (ELBO): {share:.1%} of the way from the i.i.d. Gaussian to the generating model, -1.67 "
    )
    assert f"± {error:.2f} nats a sequence" in line
    assert display.gap_lines([ours, floor]) == []
    better = Estimate("smc_40", Kind.CONSISTENT, best.nats - 0.5, frames, scale)
    assert [line.partition(":")[0] for line in display.gap_lines([ours, better, floor, best])] == [
        "bound (ELBO)",
        "particle filter, 40 particles",
    ]
    exact = Estimate("exact", Kind.EXACT, best.nats, frames, scale)
    ceiling = Estimate("diagonal_innovations", Kind.EXACT, ours.nats, frames, scale)
    (line,) = display.gap_lines([exact, floor, ceiling, best])
    assert line.startswith("exact likelihood: past the ceiling of diagonal innovations, +1.67 ")


def test_the_pens_share_has_a_column_where_it_is_known():
    one, *others = estimates(30.0)
    pen = -0.25 * one.frames
    text = printed(display.results_table([replace(one, details={"pen": pen}), *others], "strokes"), width=200)
    assert "pen, nats / frame" in text
    row = next(line for line in text.splitlines() if line.strip().startswith("bound (ELBO)"))
    assert row.rstrip().endswith(" -0.250")
    assert "offsets alone, but these hold the pen's: importance sampling, 40 samples, particle filter" in text
    assert "pen" not in printed(display.results_table([one, *others], "sound"), width=200)
