"""What ``evaluate`` does: load, read, score, keep."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pyro_vrnn.commands import display
from pyro_vrnn.data import Normaliser, Sequences, load, read
from pyro_vrnn.errors import ConfigurationError, DataError
from pyro_vrnn.inference.estimators import estimators_for
from pyro_vrnn.inference.results import Scale
from pyro_vrnn.loading import find_model
from pyro_vrnn.tracking import log_results, tracking_uri
from pyro_vrnn.training import config
from pyro_vrnn.training.files import write_whole
from pyro_vrnn.training.loop import device_named, score
from pyro_vrnn.training.saving import TrainedModel, load_model


def run(
    reference: str,
    given: dict[str, dict[str, Any]],
    *,
    names: list[str],
    part: str,
    particles: int,
    batch_size: int | None,
    seed: int | None,
    device: str,
    out: Path | None,
) -> dict[str, Any]:
    """Scores a model, prints the table and keeps the results with the run.

    Args:
        reference: A run or a model folder.
        given: Options by room.
        names: Estimators; empty for all that have meaning.
        part: Part of the run's own data.
        particles: K.
        batch_size: Sequences in a pass.
        seed: Of the noise; None for the seed of the run.
        device: Where.
        out: A JSON file to write.

    Returns:
        What the JSON holds.

    Raises:
        UserError: Anything a user can mend.
    """
    console = display.console()
    where = device_named(device)
    if out is not None and not out.absolute().parent.is_dir():
        raise ConfigurationError(f"--out {out}: the folder {out.absolute().parent} does not exist; make it first")
    if out is not None and out.is_dir():
        raise ConfigurationError(f"--out {out}: a folder; expected the name of a file")
    uri = tracking_uri(given.get("tracking", {}).get("uri"))
    folder = find_model(reference, uri)
    trained = load_model(folder)
    net = trained.net.to(where)
    seed = trained.config.training.seed if seed is None else seed
    sequences, title, data = _sequences(trained, given.get("data", {}), part)
    scale = Scale(int(trained.data["frame"]), _std_lsb(trained))
    size = batch_size or trained.config.training.batch_size or 64
    estimates = [
        score(net, sequences, name, size, scale, particles=particles, seed=seed)
        for name in [*(names or estimators_for(net)), "iid_gaussian"]
    ]
    console.print(display.results_table(estimates, title))
    results = display.as_json(estimates, model=reference, data=data, part=part, particles=particles, seed=seed)
    content = json.dumps(results, indent=2).encode()
    if out is not None:
        write_whole(out, content)
    if folder != Path(reference):
        # Names of their own where the run has histories: train/ and validation/ are curves over its steps.
        own = "test" if part == "test" else f"{part}-best"
        prefix = own if "source" not in given.get("data", {}) else f"data-{Path(given['data']['source']).name}"
        metrics = {f"{prefix}/{name}": value for e in estimates for name, value in e.metrics().items()}
        with TemporaryDirectory() as aside:
            file = Path(aside) / f"evaluation-{prefix}-{'-'.join(e.name for e in estimates[:-1])}.json"
            file.write_bytes(content)
            log_results(reference, metrics, [file], uri=uri)
        console.print(f"kept with run {reference}")
    return results


def _sequences(trained: TrainedModel, given: dict[str, Any], part: str) -> tuple[Sequences, str, dict[str, Any]]:
    """What is scored, standardised as the model was trained."""
    normaliser = Normaliser(float(trained.data["mean"]), float(trained.data["std"]))
    own = trained.config.data
    if "source" not in given:
        if given:
            raise ConfigurationError(
                f"--{sorted(given)[0].replace('_', '-')}: only beside --data; a run's own data are fixed"
            )
        corpus = load(own, seed=trained.config.training.seed)
        if corpus.checksum != trained.data["checksum"]:
            raise DataError(
                f"{own.source}: its files are not those the run was trained on (checksum {corpus.checksum[:12]},"
                f" expected {trained.data['checksum'][:12]}); pass --data {own.source} to score what is there now"
            )
        sequences = getattr(corpus.with_normaliser(normaliser), part)
        return sequences, f"{part} part of {own.source}: {len(sequences)} sequences", {"checksum": corpus.checksum}
    known = {"frame": trained.data["frame"], "sample_rate": trained.data["sample_rate"]}
    options = config.read(None, {"data": {**known, **given}}).data
    if options.frame != trained.data["frame"]:
        raise ConfigurationError(f"--frame {options.frame}: the model has frames of {trained.data['frame']} samples")
    if options.sample_rate != trained.data["sample_rate"]:
        raise ConfigurationError(
            f"--sample-rate {options.sample_rate}: the model was trained at {trained.data['sample_rate']} Hz;"
            " leave it out, and pass --resample to convert the files"
        )
    sequences, skipped = read(options, normaliser)
    title = f"{options.source}: {len(sequences)} sequences" + (f", {len(skipped)} files skipped" if skipped else "")
    return sequences, title, {"source": options.source, "skipped": [list(item) for item in skipped]}


def _std_lsb(trained: TrainedModel) -> float | None:
    lsb = trained.data.get("lsb")
    return None if lsb is None else float(trained.data["std"]) / float(lsb)
