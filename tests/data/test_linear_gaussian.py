"""The simulated set: what is said of it agrees with the dense joint density, and it asks of a model what it should."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyro_vrnn.data import EMBEDDED, Corpus, DataOptions, Normaliser, load, read
from pyro_vrnn.data.linear_gaussian import MODEL, STEPS, StateSpace, predictions, references, simulate

from .files import Refused

SET = DataOptions(source="linear-gaussian")


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return load(SET, seed=0)


def random_model(seed: int, Z: int, D: int) -> StateSpace:
    generator = np.random.default_rng(seed)
    A = generator.standard_normal((Z, Z))
    return StateSpace(
        F=0.5 * generator.standard_normal((Z, Z)),
        Q=generator.uniform(0.1, 1, Z),
        H=generator.standard_normal((D, Z)),
        R=generator.uniform(0.1, 1, D),
        P1=A @ A.T + np.eye(Z),
    )


def joint_covariance(model: StateSpace, T: int) -> np.ndarray:
    """Of all T frames as one vector: every state as its coefficients on all noise so far, no filter."""
    Z, D = len(model.Q), len(model.R)
    state = np.zeros((Z, T * Z))
    rows = []
    for t in range(T):
        state = model.F @ state
        state[:, t * Z : (t + 1) * Z] = np.linalg.cholesky(model.P1) if t == 0 else np.diag(np.sqrt(model.Q))
        rows.append(model.H @ state)
    factor = np.concatenate(rows)
    return factor @ factor.T + np.kron(np.eye(T), np.diag(model.R)) * np.ones((T * D, T * D))


def log_normal(y: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> float:
    deviation = (y - mean).ravel()
    return float(
        -0.5
        * (
            deviation @ np.linalg.solve(covariance, deviation)
            + np.linalg.slogdet(covariance)[1]
            + deviation.size * np.log(2 * np.pi)
        )
    )


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), Z=st.integers(1, 3), D=st.integers(1, 4), T=st.integers(1, 6))
def test_references_are_those_of_the_dense_joint_density(seed: int, Z: int, D: int, T: int) -> None:
    model = random_model(seed, Z, D)
    C = joint_covariance(model, T)
    y = np.random.default_rng(seed + 1).standard_normal((3, T, D))
    seen = references(model, y)
    means, covariances = predictions(model, y)
    for n in range(3):
        assert seen["generating_model"][n] == pytest.approx(log_normal(y[n], np.zeros((T, D)), C), rel=1e-9, abs=1e-9)
        diagonal = 0.0
        for t in range(T):
            past, now = slice(0, t * D), slice(t * D, (t + 1) * D)
            weights = np.linalg.solve(C[past, past], C[past, now]).T
            mean, S = weights @ y[n, :t].ravel(), C[now, now] - weights @ C[past, now]
            np.testing.assert_allclose(means[n, t], mean, atol=1e-8)
            np.testing.assert_allclose(covariances[t], S, atol=1e-8)
            diagonal += sum(log_normal(y[n, t, d], mean[d], S[d : d + 1, d : d + 1]) for d in range(D))
        assert seen["diagonal_innovations"][n] == pytest.approx(diagonal, rel=1e-9, abs=1e-9)


def test_simulations_have_the_moments_of_the_model() -> None:
    y = simulate(MODEL, 4000, 6, seed=1).astype(np.float64)
    C = joint_covariance(MODEL, 6)
    vectors = y.reshape(4000, -1)
    # the standard error of a covariance of unit variances is at most (2 / 4000) ** 0.5
    np.testing.assert_allclose(vectors.T @ vectors / 4000, C, atol=5 * (2 / 4000) ** 0.5 * 1.1)
    np.testing.assert_allclose(vectors.mean(axis=0), 0, atol=5 / 4000**0.5)
    means, S = predictions(MODEL, y)
    squares = np.einsum("ntd,tde,nte->n", y - means, np.linalg.inv(S), y - means)
    assert squares.mean() == pytest.approx(24, abs=5 * (2 * 24 / 4000) ** 0.5)


def test_references_count_standardised_values(corpus: Corpus) -> None:
    C = joint_covariance(MODEL, STEPS)
    for seen in (corpus, corpus.with_normaliser(Normaliser(0.3, 2.5))):
        mean, std = seen.normaliser.mean, seen.normaliser.std
        for n in (0, 7, 299):
            expected = log_normal(seen.test[n].astype(np.float64), np.full((STEPS, 4), -mean / std), C / std**2)
            assert seen.references["generating_model"][n] == pytest.approx(expected, abs=0.01)
    raw = references(MODEL, np.stack([corpus.test.samples(n) for n in range(300)]))
    for name, nats in corpus.references.items():
        np.testing.assert_allclose(nats, raw[name] + STEPS * 4 * np.log(corpus.normaliser.std))


def test_the_gap_between_the_references_is_that_of_correlated_innovations(corpus: Corpus) -> None:
    exact, diagonal = corpus.references["generating_model"], corpus.references["diagonal_innovations"]
    assert exact.shape == diagonal.shape == (300,)
    gap = exact - diagonal
    S = predictions(MODEL, corpus.test.samples(0)[None])[1]
    expected = 0.5 * (np.log(np.diagonal(S, axis1=1, axis2=2)).sum() - np.linalg.slogdet(S)[1].sum())
    assert gap.mean() == pytest.approx(expected, abs=4 * gap.std() / 300**0.5)
    assert gap.mean() / STEPS > 1


def test_there_is_much_to_learn_and_nothing_extreme(corpus: Corpus) -> None:
    x = np.stack(list(corpus.test)).astype(np.float64)
    iid = -0.5 * (x**2 + np.log(2 * np.pi)).sum((1, 2))
    assert (corpus.references["diagonal_innovations"] - iid).mean() / STEPS > 3
    _, S = predictions(MODEL, corpus.test.samples(0)[None])
    assert np.sqrt(np.linalg.eigvalsh(S).min()) > 0.1 * corpus.normaliser.std
    per_value = np.concatenate(list(corpus.train)).std(axis=0)
    np.testing.assert_allclose(per_value, 1, atol=0.05)


def test_the_set_is_always_the_same(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYRO_VRNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # as without eSpeak NG
    again = load(SET, seed=1)
    assert again.checksum == corpus.checksum
    # of the bytes: whoever changes the set changes what runs on it are compared with
    assert corpus.checksum.startswith("a44deb431594a602")
    assert again.normaliser == corpus.normaliser
    for part in ("train", "validation", "test"):
        assert getattr(again, part).names == getattr(corpus, part).names
        np.testing.assert_array_equal(getattr(again, part)[3], getattr(corpus, part)[3])
    assert not (tmp_path / "cache").exists()


def test_it_is_a_corpus_like_others(corpus: Corpus) -> None:
    assert (corpus.name, corpus.sample_rate, corpus.frame, corpus.clips) == ("linear-gaussian", 4, 4, 2500)
    assert (corpus.lsb, corpus.std_lsb, corpus.lossless, corpus.dither) == (None, None, False, False)
    assert [len(part) for part in (corpus.train, corpus.validation, corpus.test)] == [2000, 200, 300]
    assert {int(n) for part in (corpus.train, corpus.validation, corpus.test) for n in part.lengths} == {40}
    train = np.stack(list(corpus.train)).astype(np.float64)
    assert train.mean() == pytest.approx(0, abs=1e-6)
    assert train.std() == pytest.approx(1, abs=1e-6)
    assert SET.source in EMBEDDED
    assert SET.frame == corpus.frame
    seen, text = corpus.describe(), "\n".join(corpus.lines())
    assert (seen["frames"], seen["hours"], seen["test_hours"]) == (100_000, None, None)
    for part in ("2500 simulated sequences", "100000 frames of 4 values", "train: 2000 sequences, 40 to 40 frames"):
        assert part in text
    assert "Hz" not in text
    assert "min" not in text


def test_reading_gives_all_parts_as_one(corpus: Corpus) -> None:
    everything, skipped, *_ = read(SET, corpus.normaliser)
    assert skipped == ()
    assert everything.names == [*corpus.train.names, *corpus.validation.names, *corpus.test.names]
    np.testing.assert_array_equal(everything[2200], corpus.test[0])


@pytest.mark.parametrize(
    ("given", "typed"),
    [
        ({"frame": 200}, "--frame 200"),
        ({"segment": 0.5}, "--segment 0.5"),
        ({"sample_rate": 8000}, "--sample-rate 8000"),
        ({"resample": True}, "--resample has"),
        ({"mix": True}, "--mix has"),
        ({"dither": True}, "--dither has"),
        ({"test_pattern": "^a"}, "--test-pattern ^a"),
        ({"speaker_pattern": "(a)"}, "--speaker-pattern (a)"),
        ({"split": "speaker"}, "--split speaker"),
        ({"split": "list", "test_list": "a.txt"}, "--split list"),
        ({"test": 0.1}, "--set data.test=0.1"),
    ],
)
def test_options_of_recordings_are_refused(given: dict[str, Any], typed: str, refused: Refused) -> None:
    options = DataOptions(source="linear-gaussian", **given)
    with refused("--data linear-gaussian", typed, "no meaning", "leave it out"):
        load(options, seed=0)
    with refused("--data linear-gaussian", typed):
        read(options, Normaliser(0.0, 1.0))


def test_options_that_change_nothing_are_not_refused(corpus: Corpus) -> None:
    stored = DataOptions.model_validate(SET.model_dump(exclude_none=True))
    assert stored == SET
    for options in (
        stored,
        DataOptions(source="linear-gaussian", frame=4, sample_rate=4, segment=0),
        SET.model_copy(update={"segment": None}),
    ):
        assert load(options, seed=0).checksum == corpus.checksum
