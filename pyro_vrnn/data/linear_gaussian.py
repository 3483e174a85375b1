r"""The embedded set `linear-gaussian`: simulated, so that what a model can reach at best is known exactly.

.. math::
    s_t = F s_{t-1} + w_t, \quad w_t \sim N(0, Q), \qquad
    y_t = H s_t + v_t, \quad v_t \sim N(0, R), \qquad s_1 \sim N(0, P_1)

with diagonal Q and R. The hidden state turns slowly in a plane, which every value of a frame sees from another side:
the four values of a frame are strongly correlated even given all earlier frames.
"""

import hashlib
from collections.abc import Mapping
from math import log, pi
from typing import NamedTuple

import numpy as np

from .normaliser import Normaliser
from .options import LINEAR_GAUSSIAN, DataOptions
from .sequences import Sequences
from .splits import check_nothing_asked

STEPS = 40  # frames a sequence
SIZES = {"train": 2000, "validation": 200, "test": 300}  # sequences
RATE = 4  # values a second: a frame of 4 takes one
SEED = 20150607  # of the set, not of a run: everybody has the same numbers


class StateSpace(NamedTuple):
    """A linear-Gaussian state-space model, in the symbols of the module's equations; Q and R are diagonals."""

    F: np.ndarray
    Q: np.ndarray
    H: np.ndarray
    R: np.ndarray
    P1: np.ndarray


# F is a turn by 0.32 that shrinks by 0.949: with this Q the state's stationary covariance is the identity, P1.
MODEL = StateSpace(
    F=np.array([[0.9, -0.3], [0.3, 0.9]]),
    Q=np.array([0.1, 0.1]),
    H=np.array([[1.0, 0.2], [0.7, 0.8], [-0.3, 1.0], [-0.9, 0.5]]),
    R=np.array([0.014, 0.016, 0.018, 0.015]),
    P1=np.eye(2),
)


def simulate(model: StateSpace, sequences: int, steps: int, seed: int) -> np.ndarray:
    """Sequences of the model with P1 the identity: float32, `(sequences, steps, D)`.

    The bytes are the same everywhere: NumPy keeps the numbers of `RandomState` for good, and products are summed one by
    one, because matrix libraries round as the processor suits them.
    """
    Z, D = len(model.Q), len(model.R)
    noise = np.random.RandomState(seed).standard_normal((sequences, steps, Z + D))
    y = np.empty((sequences, steps, D), np.float32)
    s = noise[:, 0, :Z]
    for t in range(steps):
        if t:
            s = _times(model.F, s) + np.sqrt(model.Q) * noise[:, t, :Z]
        y[:, t] = _times(model.H, s) + np.sqrt(model.R) * noise[:, t, Z:]
    return y


def predictions(model: StateSpace, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean `(N, T, D)` and covariance `(T, D, D)` of each frame given all before it, by the Kalman filter.

    Args:
        model: The model.
        y: Frames, `(N, T, D)`.
    """
    y = np.asarray(y, np.float64)
    N, T, D = y.shape
    means, covariances = np.empty((N, T, D)), np.empty((T, D, D))
    m, P = np.zeros((N, len(model.Q))), model.P1
    for t in range(T):
        means[:, t], covariances[t] = m @ model.H.T, model.H @ P @ model.H.T + np.diag(model.R)
        gain = np.linalg.solve(covariances[t], model.H @ P).T
        m = (m + (y[:, t] - means[:, t]) @ gain.T) @ model.F.T
        P = model.F @ (P - gain @ model.H @ P) @ model.F.T + np.diag(model.Q)
    return means, covariances


def references(model: StateSpace, y: np.ndarray) -> dict[str, np.ndarray]:
    r"""Log-densities of whole sequences in nats, `(N,)` each.

    `diagonal_innovations`
        :math:`\sum_t \log N(y_t; m_t, \mathrm{diag}\, S_t)`, with the exact mean and covariance of each frame given all
        before it: the best, on average, of the models that have no latents and whose frames are diagonal Gaussians.
    `generating_model`
        :math:`\sum_t \log N(y_t; m_t, S_t) = \log p(y_{\le T})`: no model is better on average.
    """
    means, S = predictions(model, y)
    deviations = y - means
    variances = np.diagonal(S, axis1=1, axis2=2)
    whitened = np.linalg.solve(np.linalg.cholesky(S), deviations[..., None])[..., 0]
    constant = log(2 * pi) * deviations[0].size
    diagonal = (deviations**2 / variances).sum((1, 2)) + np.log(variances).sum()
    exact = (whitened**2).sum((1, 2)) + np.linalg.slogdet(S)[1].sum()
    return {
        "diagonal_innovations": -0.5 * (diagonal + constant),
        "generating_model": -0.5 * (exact + constant),
    }


def parts() -> dict[str, np.ndarray]:
    """The set: frames of each part, float32, `(sequences, 40, 4)`."""
    y = simulate(MODEL, sum(SIZES.values()), STEPS, SEED)
    ends = np.cumsum(list(SIZES.values()))
    return dict(zip(SIZES, np.split(y, ends[:-1]), strict=True))


def sequences(parts: Mapping[str, np.ndarray], normaliser: Normaliser) -> Sequences:
    """Sequences of one or several parts, one after another; a step counts as a second."""
    names = [f"{part}/{i:04d}" for part, y in parts.items() for i in range(len(y))]
    frames = [y_i for y in parts.values() for y_i in y]
    return Sequences(frames, names, None, frame=len(MODEL.R), sample_rate=RATE, normaliser=normaliser, kind="arrays")


def checksum(parts: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over the parts' names and values."""
    digest = hashlib.sha256()
    for name, y in parts.items():
        digest.update(name.encode() + b"\0" + y.astype("<f4").tobytes())
    return digest.hexdigest()


def check_options(options: DataOptions) -> None:
    """See that nothing is asked of the set that only recordings can do.

    Raises:
        DataError: An option has no meaning here.
    """
    check_nothing_asked(
        options,
        DataOptions(source=LINEAR_GAUSSIAN),
        {"sample_rate": RATE, "segment": None},  # as a run stores it; as unset
        f"what is simulated ({STEPS} frames of {len(MODEL.R)} values a sequence, parts of its own, no integers)",
    )


def _times(A: np.ndarray, x: np.ndarray) -> np.ndarray:
    total = A[:, 0] * x[..., :1]
    for j in range(1, A.shape[1]):
        total = total + A[:, j] * x[..., j : j + 1]
    return total
