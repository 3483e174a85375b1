"""Parts of one's own: names, trust, sources, and mistakes in one line."""

import hashlib
import sys

import pytest
import torch

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.model import own
from pyro_vrnn.model.variants import ModelOptions, build
from pyro_vrnn.training.config import Config
from pyro_vrnn.training.identity import identity

TINY = {"h": 8, "z": 2, "depth": 1, **{f"{part}_width": 6 for part in ("phi_x", "phi_z", "guide", "prior", "emission")}}
NAME = "my_parts:LookaheadGuide"

HEAD = """
import torch
from torch import nn
from torch.distributions import Independent as I, Normal as N
from pyro_vrnn.model.emissions import Emission
from pyro_vrnn.model.guides import FilteringGuide, Guide
from pyro_vrnn.model.priors import ConditionalPrior, Prior
from pyro_vrnn.model.recurrence import GRU, Recurrence
"""


def _options(**parts) -> ModelOptions:
    return ModelOptions(**TINY, **parts)


def test_a_class_of_every_kind_is_built_as_a_part(own_parts):
    own_parts(
        HEAD + "class P(ConditionalPrior): ...\nclass G(FilteringGuide): ...\nclass R(GRU): ...\nclass E(Emission): ..."
    )
    own.trust("my_parts")
    net = build(_options(prior="my_parts:P", guide="my_parts:G", emission="my_parts:E", recurrence="my_parts:R"), 3)
    found = [type(part).__name__ for part in (net.prior, net.guide, net.emission, net.recurrence)]
    assert found == ["P", "G", "E", "R"]


def test_to_try_a_part_takes_no_random_number(own_parts):
    own_parts(HEAD + "class G(FilteringGuide): ...")
    own.trust("my_parts")
    torch.manual_seed(0)
    ours = build(_options(guide="my_parts:G"), 3)
    after = torch.rand(1)
    torch.manual_seed(0)
    theirs = build(_options(guide="filtering"), 3)
    assert torch.rand(1).equal(after)
    assert all(a.equal(b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_code_that_is_not_trusted_is_not_imported(own_parts, tmp_path):
    own_parts(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(ConfigurationError, match="not trusted; to run it, pass --trust my_parts"):
        build(_options(guide=NAME), 3)
    own.trust("my_parts_2")
    with pytest.raises(ConfigurationError, match="not trusted"):
        build(_options(guide=NAME), 3)
    assert not (tmp_path / "ran").exists()
    assert "my_parts" not in sys.modules


def test_packages_above_a_changed_module_are_not_imported(own_parts, tmp_path):
    (tmp_path / "above").mkdir()
    (tmp_path / "above" / "__init__.py").write_text("raise SystemExit")
    (tmp_path / "above" / "inner.py").write_text("raise SystemExit")
    own.trust("above.inner")
    with pytest.raises(ConfigurationError, match="has changed"):
        build(_options(guide="above.inner:G", sources=("above.inner@" + "0" * 64,)), 3)


def test_changed_code_is_run_only_by_its_checksum(own_parts, tmp_path):
    text = own_parts().read_text()
    own.trust("my_parts")
    config = Config(model=_options(guide=NAME)).explicit(3)
    assert config.model.sources == ("my_parts@" + hashlib.sha256(text.encode()).hexdigest(),)
    (tmp_path / "my_parts.py").write_text(f"{text}# changed\n")
    with pytest.raises(ConfigurationError, match="has changed") as refused:
        build(config.model, 3)
    advice = str(refused.value).rpartition("--trust ")[2]
    own_parts(f"{text}# changed\n")
    own.trust(advice)
    build(config.model, 3)
    own_parts(f"{text}# changed again\n")
    with pytest.raises(ConfigurationError, match="has changed"):
        build(config.model, 3)


def test_a_file_that_changes_after_it_was_imported_is_refused(own_parts, tmp_path):
    text = own_parts().read_text()
    own.trust("my_parts")
    build(_options(guide=NAME), 3)
    (tmp_path / "my_parts.py").write_text(f"{text}# changed\n")
    with pytest.raises(ConfigurationError, match="begin a new one"):
        build(_options(guide=NAME), 3)


def test_the_source_is_part_of_the_identity_and_of_no_other_runs(own_parts):
    text = own_parts().read_text()
    own.trust("my_parts")
    config = Config(model=_options(guide=NAME))
    first, usual = identity(config.explicit(3), ""), Config(model=_options()).explicit(3)
    assert identity(config.explicit(3), "") == first
    own_parts(f"{text}# changed\n")
    assert identity(config.explicit(3), "") != first
    assert "sources" not in usual.model_dump(exclude_none=True)["model"]


@pytest.mark.parametrize(
    "name",
    ["../my_parts:G", "a/b:G", "my_parts.py:G", ":G", "my_parts:", "a:b:c", "my-parts:G", "a..b:G", "a:G.h", "a:G "],
)
def test_what_is_no_name_is_refused(own_parts, name):
    with pytest.raises(ConfigurationError, match="expected module:Class as Python imports it"):
        build(_options(guide=name), 3)


@pytest.mark.parametrize("module", ["../my_parts", "my_parts:G", "my_parts@xyz", "my_parts@12", "a,b", ""])
def test_what_is_no_module_cannot_be_trusted(own_parts, module):
    with pytest.raises(ConfigurationError, match="--trust"):
        own.trust(module)


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("guide", None, "no file of module my_parts found"),
        ("guide", "class F: ...", "has no G; name a class that is there"),
        ("guide", "G = 3", "G is no class; expected a class derived from pyro_vrnn.model.guides.Guide"),
        ("guide", "class G(nn.Module): ...", "G is a Module; expected a class derived from"),
        ("prior", "class G(Guide): ...", "expected a class derived from pyro_vrnn.model.priors.Prior"),
        ("recurrence", "class G(nn.Module): ...", "derived from pyro_vrnn.model.recurrence.Recurrence"),
        ("guide", "class G(Guide:", "my_parts:G: SyntaxError"),
        ("guide", "import nowhere", "my_parts.py:10: ModuleNotFoundError: No module named 'nowhere'"),
        ("guide", "class G(Guide): ...", "cannot be built as G(dims, hidden): TypeError"),
        (
            "guide",
            "class G(Guide):\n    def __init__(self, d, h):\n        super().__init__()\n        d.nothing",
            "cannot be built as G(dims, hidden): my_parts.py:13: AttributeError: 'Dims' object has no attribute",
        ),
        ("guide", "class G(FilteringGuide):\n    def prepare(self, f, m, h=None, memory=None):\n        return f",
         "prepare returned (2, 2, 6) of torch.float32; expected (prepared, memory)"),
        ("guide", "class G(FilteringGuide):\n    def forward(self, p, s, prior):\n        return s.h",
         "forward returned (2, 8) of torch.float32; expected a torch or Pyro distribution"),
        ("guide", "class G(FilteringGuide):\n    def forward(self, p, s, prior):\n        return N(s.z, 1.0)",
         "batch (2, 2) and event (); expected batch (2,) and event (2,)"),
        ("guide", "class G(FilteringGuide):\n    def forward(self, p, s, prior):\n        return I(N(s.h, 1), 1)",
         "batch (2,) and event (8,)"),
        ("prior", "class G(ConditionalPrior):\n    def forward(self, s):\n        return I(N(s.z.double(), 1), 1)",
         "a draw is (2, 2) of torch.float64; expected shape (2, 2) of torch.float32"),
        ("emission", "class G(Emission):\n    def forward(self, f, s):\n        raise KeyError('lost')",
         "my_parts.py:12: KeyError: 'lost'"),
        ("recurrence", "class G(GRU):\n    def forward(self, p, f, s):\n        return s.h", "expected (h, memory)"),
        ("recurrence", "class G(GRU):\n    def forward(self, p, f, s):\n        return s.h, (s.h,)",
         "a memory of 1 tensors; memory_size says 0"),
        ("recurrence", "class G(GRU):\n    def forward(self, p, f, s):\n        return s.z, ()", "h is (2, 2)"),
    ],
)  # fmt: skip
def test_mistakes_are_said_in_a_line(own_parts, tmp_path, kind, text, message):
    torch.set_default_dtype(torch.float32)
    own_parts("" if text is None else f"{HEAD}\n{text}\n")
    if text is None:
        (tmp_path / "my_parts.py").unlink()
    own.trust("my_parts")
    with pytest.raises(ConfigurationError) as refused:
        build(_options(**{kind: "my_parts:G"}), 3)
    assert message in str(refused.value)
    assert str(refused.value).startswith(f"--{kind} my_parts:G: ")
    assert "\n" not in str(refused.value)
