"""A model card: what a trained model is, what it was trained on, how well it does and how to load it."""

import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pyro_vrnn import __version__
from pyro_vrnn.comparison.formats import Entry, Piece, Sheet, markdown
from pyro_vrnn.comparison.runs import UNITS, Scored
from pyro_vrnn.inference.results import Kind
from pyro_vrnn.model.sizes import parameters_per_part
from pyro_vrnn.model.variants import ALIASES, VARIANTS
from pyro_vrnn.training.saving import TrainedModel

PAPER = """@inproceedings{chung2015vrnn,
  title = {A Recurrent Latent Variable Model for Sequential Data},
  author = {Chung, Junyoung and Kastner, Kyle and Dinh, Laurent and Goel, Kratarth and
            Courville, Aaron C. and Bengio, Yoshua},
  booktitle = {Advances in Neural Information Processing Systems 28},
  year = {2015},
  url = {https://arxiv.org/abs/1506.02216}
}"""

LIMITS = (
    "A density model of sequences for research: likelihoods, latents, ablations. Its numbers are of data cut and "
    "standardised as those above, and say little of others. It is trained on what the corpus holds, with its speakers "
    "or writers and its flaws; what it generates is no recording of anyone. Numbers with different marks are not of "
    "one kind: a bound may lie below a worse model's exact value."
)

#: What a frame is called, and its values, by the kind of the data.
FRAMES = {"audio": "samples of sound", "pen": "a point of a pen: offset in x, offset in y, pen up"}


def card(run: Scored, trained: TrainedModel, words: Callable[[str], str]) -> str:
    """The card of a tracked run's model, Markdown below front matter as Hugging Face's hub reads it.

    Args:
        run: The run with its results.
        trained: Its model.
        words: An estimate's name for people.
    """
    model, data = trained.config.model, trained.data
    summary = VARIANTS[ALIASES.get(model.variant, model.variant)].summary
    return "\n".join(
        [
            _front_matter(run),
            f"# {run.name}",
            "",
            f"{summary}, trained on {data['name']} by pyro_vrnn {__version__}. Run `{run.id}`, seed {run.seed}.",
            "",
            "## Use",
            "",
            "```python",
            "import pyro_vrnn",
            "",
            'trained = pyro_vrnn.load("FOLDER")  # this folder; nothing in it is executed',
            "model, guide = trained.programs()  # Pyro's",
            "```",
            "",
            "Every command takes the folder for a run, as `pyro-vrnn score FOLDER DATA --out frames.csv`.",
            "",
            "## Model",
            "",
            r"$$p(x_{\le T}, z_{\le T}) = \prod_t p(x_t \mid z_{\le t}, x_{<t})\, p(z_t \mid x_{<t}, z_{<t})$$"
            if trained.net.has_latents
            else r"$$p(x_{\le T}) = \prod_t p(x_t \mid x_{<t})$$",
            "",
            *_parts(trained),
            "",
            *_parameters(trained),
            "",
            "## Training data",
            "",
            *_data(data),
            "",
            "## Results",
            "",
            markdown([_results(run, words)]).rstrip(),
            "",
            "## Intended use and limits",
            "",
            LIMITS,
            "",
            "## Citation",
            "",
            "```bibtex",
            PAPER,
            "```",
            "",
        ]
    )


def _front_matter(run: Scored) -> str:
    """YAML, of which JSON's strings and lists are a part."""
    tags = ["vrnn", "variational-inference", "sequence-model", run.config.model.variant]
    entries = {"library_name": "pyro_vrnn", "tags": tags, "license": "unknown", "model_name": run.name}
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in entries.items()]
    return "\n".join(["---", *lines, "---", ""])


def _parts(trained: TrainedModel) -> list[str]:
    net, model = trained.net, trained.config.model
    parts: list[tuple[str, str | None, Any]] = [
        ("prior", model.prior, net.prior),
        ("guide", model.guide, net.guide),
        ("emission", model.emission, net.emission),
        ("emission's head", None, getattr(net.emission, "head", None)),
        ("recurrence", model.recurrence, net.recurrence),
    ]
    lines = ["| part | name | density or meaning |", "| --- | --- | --- |"]
    for what, name, part in parts:
        if part is not None:
            lines.append(f"| {what} | {name or type(part).__name__} | {_meaning(type(part))} |")
    return lines


def _meaning(kind: type) -> str:
    """The first paragraph of a class's documentation, which says what density it is; formulas as in Markdown."""
    said = " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())
    said = re.sub(r":math:`([^`]*)`", lambda found: f"${found[1]}$", said)
    said = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", said)
    return said.replace("|", r"\|")


def _parameters(trained: TrainedModel) -> list[str]:
    model, counts = trained.config.model, parameters_per_part(trained.net)
    each = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    sizes = ", ".join(f"{name} {getattr(model, name)}" for name in ("h", "layers", "z", "depth"))
    return [f"{sum(counts.values()):,} parameters ({each}), float32; {sizes}; preset {model.preset}."]


def _data(data: Mapping[str, Any]) -> list[str]:
    rate = "" if data["sample_rate"] is None else f", {data['sample_rate']} Hz"
    hours = "" if data.get("hours") is None else f", {data['hours']:.2f} h"
    counts = ", ".join(f"{data[f'{part}_sequences']} {part}" for part in ("train", "validation", "test"))
    dither = ", dithered" if data.get("dither") else ""
    return [
        f"- name: {data['name']}",
        f"- checksum: `{data['checksum']}`",
        f"- sequences: {counts}{hours}",
        f"- frames: {data['frame']} values each ({FRAMES.get(str(data.get('kind')), 'numbers')}{rate}{dither}), "
        "standardised by the training part's mean and standard deviation, which `data.json` holds",
        "- licence: not known to this software; ask the source of the data before sharing the model",
    ]


def _results(run: Scored, words: Callable[[str], str]) -> Sheet:
    header = ["test set", *(words_ for _, words_, _ in UNITS.values()), "kind"]
    rows: list[Sequence[Entry]] = []
    for name in run.results["results"]:
        kind = run.kind(name)
        cells: list[Entry] = []
        for units, (_, _, digits) in UNITS.items():
            value = run.value(name, units)
            mark = kind.bits_mark if units == "bits" else kind.mark
            cells.append("" if value is None else (Piece(mark, "", f"{value:.{digits}f}"),))
        rows.append([words(name), *cells, kind.label])
    held = {run.kind(name) for name in run.results["results"]}
    bits = any(run.value(name, "bits") is not None for name in run.results["results"])
    legend = "; ".join(kind.legend(bits=bits) for kind in Kind if kind in held)
    remarks = [legend, "Nats are of standardised data; bits a sample of the original, where it lies on integers."]
    title = f"{run.results['data']['test_sequences']} test sequences, seed {run.seed}"
    return Sheet(title, header, rows, remarks)
