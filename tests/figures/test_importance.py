"""What is drawn, read back from the axes."""

import io
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from pyro_vrnn.figures.importance import bound_against_samples
from pyro_vrnn.inference.importance import Diagnosis, diagnose

pytestmark = pytest.mark.filterwarnings("error")


def weights(K: int, spread: float = 5.0) -> Diagnosis:
    return diagnose(-4000 + spread * np.random.default_rng(0).standard_normal((K, 30)))


def texts(axes) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_the_curve_its_band_and_the_elbo():
    diagnosis = weights(1000)
    figure = bound_against_samples(diagnosis, elbo=-4012.5, title="a title")
    assert isinstance(figure.canvas, FigureCanvasAgg)
    assert figure.get_suptitle() == "a title"
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "importance samples a sequence, K'"
    assert axes.get_ylabel() == "nats / sequence"
    curve, *others = axes.get_lines()
    np.testing.assert_array_equal(curve.get_xydata(), np.stack([diagnosis.curve.samples, diagnosis.curve.bound], 1))
    dashed = [line for line in others if line.get_linestyle() == "--"]
    assert [list(line.get_ydata()) for line in dashed] == [[-4012.5, -4012.5]]
    marked = [line.get_xydata().tolist() for line in others if line.get_marker() == "o"]
    assert marked == [[[40, diagnosis.curve.bound[5]]]]
    band = axes.collections[0].get_paths()[0].vertices
    for k, bound, error in zip(diagnosis.curve.samples, diagnosis.curve.bound, diagnosis.curve.error, strict=True):
        heights = band[band[:, 0] == k, 1]
        assert (heights.min(), heights.max()) == pytest.approx((bound - error, bound + error))
    assert {"ELBO, -4012.5", f"40 samples, {diagnosis.curve.bound[5]:.1f}"} < set(texts(axes))


def test_the_tails_and_their_threshold():
    diagnosis = weights(1000)
    axes = bound_against_samples(diagnosis, elbo=None, title="").axes[1]
    heights = [bar.get_height() for bar in axes.patches]
    edges = [bar.get_x() for bar in axes.patches] + [axes.patches[-1].get_x() + axes.patches[-1].get_width()]
    np.testing.assert_array_equal(heights, np.histogram(diagnosis.pareto_k, edges)[0])
    assert sum(heights) == 30
    assert list(axes.get_lines()[0].get_xdata()) == [diagnosis.threshold] * 2
    assert axes.get_title() == "threshold 0.67, 100% of sequences above"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Pareto k of a sequence's weights", "sequences")


def test_tails_without_a_finite_index_are_counted_at_their_end():
    log_weights = np.random.default_rng(0).standard_normal((1000, 10))
    log_weights[:, :3] = 0
    log_weights[7, 8:] += 5000
    log_weights[:, 7] = np.nan
    axes = bound_against_samples(diagnose(log_weights), elbo=None, title="").axes[1]
    heights = [bar.get_height() for bar in axes.patches]
    assert (sum(heights), heights[-1]) == (9, 2)
    assert heights[0] >= 3


@pytest.mark.parametrize("K", [1, 2, 40, 45, 999])
def test_without_enough_samples_there_is_one_panel(K):
    figure = bound_against_samples(weights(K), elbo=None, title="few")
    assert len(figure.axes) == 1
    assert not any("ELBO" in text for text in texts(figure.axes[0]))
    assert any("40 samples" in text for text in texts(figure.axes[0])) == (K >= 40)


@pytest.mark.parametrize("K", [45, 1000, 10_000])
def test_what_is_written_can_be_read(K):
    """No two labels of the axis of samples lie over each other."""
    figure = bound_against_samples(weights(K, 1.0), elbo=-4000.0, title="")
    written = io.BytesIO()
    figure.savefig(written, format="png")
    assert written.getvalue().startswith(b"\x89PNG")
    boxes = [label.get_window_extent() for label in figure.axes[0].get_xticklabels() if label.get_text()]
    assert len(boxes) > 4
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
    assert figure.axes[0].get_xticklabels()[-1].get_text() == {45: "45", 1000: "1k", 10_000: "10k"}[K]


def test_drawing_touches_no_global_state():
    code = (
        "import sys, numpy as np\nfrom pyro_vrnn.figures.importance import bound_against_samples\n"
        "from pyro_vrnn.inference.importance import diagnose\n"
        "bound_against_samples(diagnose(np.zeros((1000, 2))), elbo=0.0, title='')\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
