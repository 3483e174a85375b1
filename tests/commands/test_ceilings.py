"""The simulated set, end to end: models come as close to its references as they can, and no closer."""

import csv

import numpy as np
import pytest

pytestmark = pytest.mark.slow


def fitted(command, folder, variant: str) -> dict[str, np.ndarray]:
    ended = command("fit", "--data", "linear-gaussian", "--variant", variant, "--name", variant)
    assert ended.status == 0, ended.err
    (path,) = folder.glob("mlruns/runs/*/results.sequences.csv")
    with path.open() as file:
        rows = list(csv.DictReader(file))
    return {
        name: np.array([float(row[name]) for row in rows]) for name in rows[0] if name not in ("sequence", "speaker")
    }


def closed(nats: dict[str, np.ndarray], name: str, ceiling: str) -> float:
    floor = nats["iid_gaussian"]
    return (nats[name] - floor).mean() / (nats[ceiling] - floor).mean()


def test_a_model_without_latents_meets_the_ceiling_of_diagonal_innovations_and_stays_below(command, tmp_path):
    nats = fitted(command, tmp_path, "rnn-gauss")
    assert closed(nats, "exact", "diagonal_innovations") > 0.95
    below = nats["diagonal_innovations"] - nats["exact"]
    assert below.mean() > 2 * below.std(ddof=1) / len(below) ** 0.5


def test_latents_close_the_gap_to_the_generating_model(command, tmp_path):
    nats = fitted(command, tmp_path, "vrnn-gauss")
    assert closed(nats, "elbo", "generating_model") > 0.95
    assert (nats["elbo"] - nats["diagonal_innovations"]).mean() > 10
