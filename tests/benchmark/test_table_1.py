"""The arithmetic of `benchmarks/table_1.py`, against counts by hand."""

import json
import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks import table_1
from pyro_vrnn.training.config import SCHEDULES

from .test_floor import EMISSION, GUIDE, PHI_X, PHI_Z, PRIOR, H, X, Z, model, rnn_gauss, vrnn_gauss

PAGE = Path(__file__).parents[2] / "docs" / "table-1.md"


@pytest.mark.parametrize("T", [4, 40])
@pytest.mark.parametrize(("variant", "by_hand"), [("vrnn-gauss", vrnn_gauss), ("rnn-gauss", rnn_gauss)])
def test_a_training_frame_is_counted_as_by_hand(variant, by_hand, T):
    assert table_1.work_of(model(variant), T).training == 2 * by_hand(T) / T


def test_scoring_is_counted_as_by_hand():
    T = 10
    at_once = PHI_X * (X + GUIDE + 4 * H) * T
    by_draw = (PHI_Z * Z + GUIDE * (H + 2 * Z) + PRIOR * (H + 2 * Z) + EMISSION * (PHI_Z + H + 2 * X)) * T
    by_draw += 4 * H * (PHI_Z + H) * (T - 1)
    # Two bounds and three estimates with 40 draws, each twice.
    assert table_1.passes(model("vrnn-gauss")) == 2 * (2 + 3 * 40)
    assert table_1.work_of(model("vrnn-gauss"), T).scoring == 2 * (at_once + 244 * by_draw) / T
    assert table_1.work_of(model("vrnn-gauss"), T, carry=4).scoring == 2 * 2 * (at_once + 244 * by_draw) / T
    exact = (PHI_X * (X + 4 * H) + EMISSION * (H + 2 * X)) * T + 4 * H * H * (T - 1)
    assert table_1.work_of(model("rnn-gauss"), T).scoring == 2 * exact / T


@pytest.mark.parametrize("variant", table_1.VARIANTS)
def test_counts_are_linear_in_the_frames(variant):
    net = model(variant)
    totals = [sum(table_1.forward_operations(net, T)) * T for T in range(3, 7)]
    assert len({round(b - a) for a, b in pairwise(totals)}) == 1
    assert all(total == round(total) for total in totals)


def test_the_larger_of_two_floors_binds():
    gpu = table_1.Gpu("a card", {"float32": 1e12, "tf32": 8e12, "bf16": 16e12}, memory=1e12, cache=40_000_000)
    found = table_1.Work(parameters=0, training=2e8, scoring=0, loop=20_000_000)
    assert table_1.floor(found, gpu, "float32", batch=64) == 2e8 / 1e12
    # 40 MB beyond the cache, forward and backward at each step, for two sequences at once: more than the products.
    assert table_1.floor(found, gpu, "tf32", batch=2) == 2 * 40e6 / 1e12 / 2
    assert table_1.floor(found, gpu, "bf16", batch=2) == 2e8 / 16e12, "40 MB are held by the cache"


@pytest.fixture
def counted(monkeypatch):
    """Counts of small models in place of the presets' own."""
    found = table_1.Work(parameters=24_500_000, training=195e9, scoring=39e12, loop=0)
    monkeypatch.setattr(table_1, "work", lambda preset, variant: found)


def test_measured_speeds_become_hours(counted, tmp_path, capsys):
    file = tmp_path / "speed.json"
    variants = [{"variant": v, "batch": 64, "frames": 245, "frames_per_second": 1000.0 * k}
                for k, v in enumerate(table_1.VARIANTS[:4], start=1)]  # fmt: skip
    machine = {"device": "a card", "precision": "tf32"}
    file.write_text(json.dumps({"machine": machine, "preset": "timit", "variants": variants}))
    of_timit = ["--corpus", "timit", "accent", "--frames", "timit=7200000,1"]
    table_1.main(["--speed", str(file), *of_timit, "--epochs", "10"])
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "timit: measured on a card, tf32, 64 sequences of 245 frames in a step"
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in out[3:]]
    assert [row[:2] + row[5:] for row in rows[:6]] == [
        ["timit", "rnn-gauss", "2", "60", ""],
        ["timit", "rnn-gmm", "1", "30", ""],
        ["timit", "vrnn-i", "0.67", "20", ""],
        ["timit", "vrnn-gauss", "0.5", "15", ""],
        ["timit", "vrnn-gmm", "", "", ""],  # not measured
        ["timit", "all five", "", "", ""],
    ]
    assert all(row[5:] == ["", "", ""] for row in rows[6:])


def test_a_floor_is_called_one_and_scores_are_float32(counted, capsys):
    table_1.main(["--precision", "tf32", "--corpus", "timit", "accent", "--frames", "timit=28800000,3600"])
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("a floor, not a measurement: A100 SXM 80 GB, 156 TFLOP/s in tf32")
    epoch = 28_800_000 * 195e9 / 156e12 / 3600
    assert epoch == 10
    # 3 seeds of 3600 frames at 39 TFLOP a frame and 19.5 TFLOP/s: 2 seconds each.
    assert out[3] == "| timit | rnn-gauss | 24.5 M | 195.000 | 28.8 M | 10 | 15,000 | 6 |"
    assert out[8] == "| timit | all five |  |  |  | 50 | 75,000 | 30 |"
    assert out[-1].startswith("| together | timit, accent |")


def test_what_is_not_known_stays_empty(counted, capsys):
    table_1.main(["--corpus", "onomatopoeia"])
    assert capsys.readouterr().out.splitlines()[-1] == "| onomatopoeia | all five |  |  |  |  |  |  |"
    for wrong in (["--frames", "timit=1"], ["--frames", "nothing=1,2"]):
        with pytest.raises(SystemExit, match="expected CORPUS=TRAIN,TEST"):
            table_1.main(wrong)


def test_what_the_page_says_of_the_script_is_so():
    page = PAGE.read_text(encoding="utf-8")
    lines = [shlex.split(line)[2:] for line in page.splitlines() if line.startswith("python benchmarks/table_1.py")]
    assert lines
    for words in lines:
        table_1.parser().parse_args(words)
    assert f"{table_1.EPOCHS} epochs" in page
    assert {schedule["epochs"] for name, schedule in SCHEDULES.items() if name in table_1.CORPORA} == {table_1.EPOCHS}
    for preset, corpus in table_1.CORPORA.items():
        if corpus.train is not None:
            assert re.search(rf"\| {preset} \| [\w-]+ \|.*\| {corpus.train / 1e6:.1f} M \|", page), preset
