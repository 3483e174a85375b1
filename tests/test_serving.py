"""What MLflow serves: padding changes nothing, and what does not fit is refused."""

import numpy as np
import pytest

from pyro_vrnn import serving
from pyro_vrnn.errors import ConfigurationError, DataError
from pyro_vrnn.training.saving import load_model

from .commands.conftest import record, untrained


@pytest.fixture
def scorer(tmp_path):
    source = record(tmp_path / "tones", 8)
    return serving.Scorer(load_model(untrained(tmp_path / "model", source=str(source))))


@pytest.fixture
def frames():
    return (0.1 * np.random.default_rng(0).normal(size=(3, 5, 200))).astype(np.float32)


@pytest.mark.parametrize("estimator", ["elbo", "smc", "iwae"])
def test_padding_and_company_change_nothing(scorer, frames, estimator):
    asked = {"estimator": estimator, "particles": 3, "seed": 2}
    lengths = np.array([5, 2, 4])
    found = scorer.predict({"frames": frames, "lengths": lengths}, asked)
    padded = np.concatenate([frames, np.full((3, 4, 200), np.inf, np.float32)], 1)
    padded[1, 2:] = 7
    again = scorer.predict({"frames": padded, "lengths": lengths}, asked)
    assert list(again["log_likelihood"]) == pytest.approx(list(found["log_likelihood"]), rel=1e-5)
    alone = scorer.predict({"frames": frames[:1], "lengths": [5]}, asked)
    assert alone["log_likelihood"][0] == pytest.approx(found["log_likelihood"][0], rel=1e-5)
    assert list(found["per_frame"] * lengths) == pytest.approx(list(found["log_likelihood"]))


@pytest.mark.parametrize(
    ("shape", "lengths", "said"),
    [((3, 5, 199), [5, 2, 4], "200"), ((3, 5, 200), [5, 2], "3 numbers"), ((3, 5, 200), [6, 2, 4], "from 1 to 5"),
     ((3, 5, 200), [0, 2, 4], "from 1 to 5"), ((5, 200), [5], "expected (sequences")],
)  # fmt: skip
def test_what_does_not_fit_is_refused(scorer, shape, lengths, said):
    with pytest.raises(DataError) as error:
        scorer.predict({"frames": np.zeros(shape, np.float32), "lengths": lengths})
    assert said in str(error.value)


def test_what_is_no_number_and_what_has_no_meaning_are_refused(scorer, frames):
    with pytest.raises(ConfigurationError, match="has latents"):
        scorer.predict({"frames": frames, "lengths": [5, 5, 5]}, {"estimator": "exact"})
    frames[0, 1, 0] = np.nan
    with pytest.raises(DataError, match="finite"):
        scorer.predict({"frames": frames, "lengths": [5, 5, 5]})
