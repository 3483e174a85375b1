"""The last words of ``fit``: the table, and lines to copy."""

import shlex

from rich.console import Console

from pyro_vrnn.commands import display
from pyro_vrnn.commands.evaluating import Evaluation
from pyro_vrnn.data import Corpus
from pyro_vrnn.tracking import TrackedRun, ui_address
from pyro_vrnn.training.config import Config

#: What two variants have to share for a fair comparison, beside data, preset and seed.
COMPARED = {
    "model": ("h", "layers", "depth"),
    "training": ("epochs", "max_steps", "batch_size", "learning_rate", "decay", "clip", "patience", "carry"),
}


def close(tracked: TrackedRun, config: Config, corpus: Corpus, found: Evaluation, out: Console) -> None:
    """Prints the results with their kinds and units, where the run lies, and what to type next."""
    out.print(table(corpus, found))
    for line in remarks(corpus, found):
        out.print(line)
    for warning in found.warnings:
        out.print(f"warning: {warning}")
    out.print(f"run {tracked.name} ({tracked.id}), files in {tracked.folder}")
    store = _store_arguments(config)
    estimator = "--diagnose" if found.use is not None else "--estimator exact"
    for words, line in (
        (
            "listen" if corpus.kind == "audio" else "generate",
            f"python cli.py generate {tracked.id[:8]} --out made{store}",
        ),
        ("score again", f"python cli.py evaluate {tracked.id[:8]} {estimator}{store}"),
        (
            "compare",
            f"python cli.py fit --variant {_another(config.model.variant)}{_same_arguments(config, corpus)}{store}",
        ),
        ("open the UI", f"python cli.py ui{store}   then {ui_address(tracked.uri, tracked)}"),
    ):
        out.print(f"{words + ':':<12} {line}")


def table(corpus: Corpus, found: Evaluation) -> display.ResultsTable:
    """Of the test set's results."""
    title = f"test set: {len(corpus.test)} sequences, standardised by the training set"
    return display.results_table(found.estimates, title, found.compressions)


def remarks(corpus: Corpus, found: Evaluation) -> list[str]:
    """What there is to say below the table."""
    lines = display.gap_lines(found.estimates)
    if corpus.kind == "audio" and corpus.std_lsb is not None and not corpus.lossless:
        lines.insert(0, "bits are per 16-bit step of the decoded audio: the source was resampled, mixed or lossy")
    return lines + [each.line() for each in (found.use, found.floor) if each is not None]


def _another(variant: str) -> str:
    return "rnn-gauss" if variant != "rnn-gauss" else "vrnn-gauss"


def _store_arguments(config: Config) -> str:
    return "" if config.tracking.uri is None else f" --tracking-uri {shlex.quote(config.tracking.uri)}"


def _same_arguments(config: Config, corpus: Corpus) -> str:
    """What makes another variant's run comparable: the same data, preset and seed."""
    same = Config.model_validate({"data": {"source": config.data.source}})
    data, default = config.data.model_dump(exclude_none=True), same.data
    words: list[str] = []
    for name, value in data.items():
        if value == getattr(default if name != "source" else Config().data, name):
            continue
        if name in ("validation", "test"):  # they have no option of their own
            words += ["--set", f"data.{name}={value}"]
        else:
            words += ["--data" if name == "source" else "--" + name.replace("_", "-")]
            words += [] if value is True else [str(value)]
    words += [] if config.model.preset == same.model.preset else ["--preset", config.model.preset]
    words += ["--seed", str(config.training.seed)] if config.training.seed else []
    plain = Config.model_validate(
        {"data": data, "model": {"variant": config.model.variant, "preset": config.model.preset}}
    )
    plain = plain.explicit(corpus.frame, corpus.kind)
    for room, names in COMPARED.items():
        chosen, usual = getattr(config, room), getattr(plain, room)
        for name in names:
            if getattr(chosen, name) != getattr(usual, name):
                words += ["--set", f"{room}.{name}={getattr(chosen, name)}"]
    return "".join(f" {shlex.quote(word)}" for word in words)
