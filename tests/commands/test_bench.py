"""``bench``: a table, a file, and one line for what a user gets wrong."""

import json

import pytest

from pyro_vrnn.benchmark import machine
from pyro_vrnn.benchmark.measure import Measurement
from pyro_vrnn.commands.benchmarking import VARIANTS, SpeedTable
from pyro_vrnn.commands.display import console

TINY = ("--preset", "linear-gaussian", "--batch", "2", "--frames", "3", "--repeats", "1")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(machine.GemmRate.__init__, "__defaults__", ((16, 32),))


def test_every_variant_has_its_row_and_its_place_in_the_file(command, tmp_path):
    ended = command("bench", *TINY, "--json", "speed.json")
    assert ended.status == 0, ended.err
    header, title, *lines = ended.out.splitlines()
    assert header.startswith("device cpu, 1 threads, torch ")
    assert "GFLOP/s (float32, side " in header
    assert title.strip() == "linear-gaussian: 2 sequences of 3 frames of 200 samples, 1 rounds"
    heads = next(line for line in lines if "frames/s" in line)
    for word in ("GEMM floor", "plain / ours", "markov / ours", "loop %", "rest %", "kB/step"):
        assert word in heads
    assert "traffic" not in heads, "a CPU has no such floor"
    rows = {line.split()[0]: line.split() for line in lines if line.split() and line.split()[0] in VARIANTS}
    assert tuple(rows) == VARIANTS
    assert "1 is the least" in ended.out

    held = json.loads((tmp_path / "speed.json").read_text())
    assert [entry["variant"] for entry in held["variants"]] == list(VARIANTS)
    assert held["machine"]["device"] == "cpu"
    for entry in held["variants"]:
        row, storn_or_srnn = rows[entry["variant"]], entry["variant"] in ("storn", "srnn")
        assert (entry["batch"], entry["frames"]) == (2, 3)
        assert row[1] == f"{entry['frames_per_second']:,.0f}"
        assert row[2] == f"{entry['over_gemm_floor']:.2f}"
        assert row[4 - storn_or_srnn] == f"{entry['markov_over_ours']:.2f}"
        assert ("plain_over_ours" in entry) != storn_or_srnn
        assert row[-1] == f"{entry['bytes_per_step'] / 1000:,.1f}"


def test_variants_are_chosen_and_peers_left_out(command):
    ended = command("bench", *TINY, "--variant", "srnn", "--variant", "vrnn", "--no-peers")
    assert ended.status == 0, ended.err
    assert "ours" not in next(line for line in ended.out.splitlines() if "frames/s" in line)
    assert [line.split()[0] for line in ended.out.splitlines() if line.startswith(("  srnn", "  vrnn"))] == [
        "srnn",
        "vrnn",
    ]


def test_bfloat16_has_its_own_best_product(command):
    ended = command("bench", *TINY, "--variant", "rnn-gauss", "--no-peers", "--precision", "bf16")
    assert ended.status == 0, ended.err
    assert "(bf16, side " in ended.out


MISTAKES = {
    "variant": (["--variant", "vae"], ["--variant vae", "choose one of", "vrnn-gauss"]),
    "preset": (["--preset", "huge"], ["--preset huge", "choose one of", "small"]),
    "device": (["--device", "tpu"], ["--device tpu", "choose auto, cpu"]),
    "precision": (["--precision", "tf32", "--device", "cpu"], ["--precision tf32", "use float32 or bf16"]),
    "batch": (["--batch", "0"], ["--batch"]),
    "json": (["--json", "none/speed.json"], ["--json none/speed.json", "does not exist"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_before_anything_is_timed(mistake, command, monkeypatch):
    monkeypatch.setattr(machine.GemmRate, "__init__", None)
    arguments, words = MISTAKES[mistake]
    ended = command("bench", *arguments)
    assert ended.status == 2
    assert ended.out == ""
    assert len(ended.err.splitlines()) == 1
    for word in words:
        assert word in ended.err


def test_on_a_narrow_terminal_shares_come_below_speeds(capsys):
    of = {"variant": "vrnn-gauss", "batch": 2, "frames": 3, "gemm_floor": 1.0}
    found = Measurement(
        **of,
        seconds={"ours": 2.0, "markov": 8.0},
        traffic_floor=0.5,
        shares=dict.fromkeys(("loop", "emission", "optimiser", "data", "rest"), 20.0),
        bytes_per_step=1234.0,
    )
    out = console()
    for width, tables in ((160, 1), (80, 2)):
        out.width = width
        out.print(SpeedTable([found], "a title"))
        printed = capsys.readouterr().out
        rows = [line.split() for line in printed.splitlines() if line.split()[:1] == ["vrnn-gauss"]]
        cells = ["3", "2.00", "4.00", "4.00", *["20"] * 5, "1.2"]
        assert [cell for row in rows for cell in row[1:]] == cells
        assert len(rows) == tables
        assert printed.count("a title") == printed.count("1 is the least") == 1
