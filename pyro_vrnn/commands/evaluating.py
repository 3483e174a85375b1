"""What ``evaluate`` does: load, read, score, keep."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from pyro_vrnn.commands import display
from pyro_vrnn.commands.prefixes import prefix
from pyro_vrnn.commands.progress import Counter, Told, progress
from pyro_vrnn.commands.subject import Subject, check_file, open_model, subject_of
from pyro_vrnn.commands.tables import sequence_table, write_table
from pyro_vrnn.data import flac_bits_per_sample
from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.inference.carried import estimate_carried
from pyro_vrnn.inference.estimators import collect_log_weights, estimate, estimator_for, estimators_for
from pyro_vrnn.inference.importance import Curve, Diagnosis, diagnose
from pyro_vrnn.inference.latents import LatentUse, latent_use
from pyro_vrnn.inference.results import Compression, Estimate, Kind
from pyro_vrnn.inference.sigma_floor import FloorShare, floor_share
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.tracking import find_run, log_results, tracking_uri
from pyro_vrnn.training.config import TrainingOptions
from pyro_vrnn.training.files import write_whole

#: Instead of a number of segments: all of a recording.
ALL = 0

#: Median effective samples below which the values of importance sampling are warned of, asked or not.
EFFECTIVE = 2.0


class Request(NamedTuple):
    """What is asked of the model.

    Attributes:
        names: Estimators; empty for all that have meaning.
        particles: K.
        repetitions: Independent evaluations, whose differences are the Monte Carlo error.
        weights: Weights a sequence that importance sampling is diagnosed by; None to leave that out.
        batch_size: Sequences in a pass at most; None as trained.
        seed: Of the noise; None for the seed of the run.
        carry: Segments of a recording that its state is carried over, beside scores of each segment by itself: 1 for
            these alone, :data:`ALL` for whole recordings, None as trained.
    """

    names: Sequence[str] = ()
    particles: int = 40
    repetitions: int = 2
    weights: int | None = None
    batch_size: int | None = None
    seed: int | None = None
    carry: int | None = None


class Evaluation(NamedTuple):
    """What was found.

    Attributes:
        estimates: Those that were asked for, then references.
        compressions: References in bits.
        use: What the latents carry; None if that was not looked at.
        diagnosis: Of importance sampling; None if it was not asked for.
        warnings: What whoever cites the numbers has to know, a line each.
    """

    estimates: list[Estimate]
    compressions: list[Compression]
    use: LatentUse | None
    diagnosis: Diagnosis | None
    warnings: list[str]
    floor: FloorShare | None = None

    def metrics(self) -> dict[str, float]:
        """Flat names and numbers, as they are tracked."""
        holders = [*self.estimates, *self.compressions, self.use, self.diagnosis, self.floor]
        return {name: value for held in holders if held is not None for name, value in held.metrics().items()}


def run(
    reference: str,
    given: dict[str, dict[str, Any]],
    request: Request,
    *,
    part: str | None,
    device: str,
    out: Path | None,
) -> dict[str, Any]:
    """Scores a model, prints the table and keeps the results with the run.

    Args:
        reference: A run or a model folder.
        given: Options by room.
        request: What is asked.
        part: Part of the run's own data; None for the test part.
        device: Where.
        out: A JSON file to write; other files go beside it.

    Returns:
        What the JSON holds.

    Raises:
        UserError: Anything a user can mend.
    """
    console, options = display.console(), given.get("data", {})
    if out is not None:
        check_file("--out", out)
        if out.suffix != ".json":
            raise ConfigurationError(f"--out {out}: expected a name that ends in .json; a table goes beside it")
    if part is not None and "source" in options:
        raise ConfigurationError(f"--split {part}: beside --data all of that is scored; leave one of them out")
    part = part or "test"
    uri = tracking_uri(given.get("tracking", {}).get("uri"))
    trained, tracked = open_model(reference, uri, device)
    request = _complete(request, trained.net, trained.config.training)
    assert request.seed is not None
    with progress(console) as told:
        subject = subject_of(trained, options, part=part, seed=request.seed, told=told)
        found = evaluate(trained.net, subject, request, told)
    console.print(display.results_table(found.estimates, subject.title, found.compressions))
    for line in [
        *([] if found.use is None else [found.use.line()]),
        *([] if found.diagnosis is None else [found.diagnosis.line()]),
        *([] if found.floor is None else [found.floor.line()]),
        *(f"warning: {warning}" for warning in found.warnings),
    ]:
        console.print(line)
    results = display.as_json(
        found.estimates,
        compressions=found.compressions,
        model=reference,
        run=find_run(reference, uri=uri).id if tracked else None,
        data=subject.described,
        part=None if "source" in options else part,
        particles=request.particles,
        repetitions=request.repetitions,
        seed=request.seed,
        carry="all" if request.carry == ALL else request.carry,
        latents=None if found.use is None else found.use.as_dict(),
        importance=None if found.diagnosis is None else found.diagnosis.as_dict(),
        share_at_sigma_floor=None if found.floor is None else found.floor.share,
        warnings=found.warnings,
    )
    begin = prefix(part, options)
    with TemporaryDirectory() as aside:
        files = _files(Path(aside) / f"evaluation-{begin}-{time.strftime('%Y%m%d-%H%M%S')}", results, found, subject)
        for ending, file in files.items() if out is not None else ():
            assert out is not None
            write_whole(out if ending == "json" else out.with_suffix(f".{ending}"), file.read_bytes())
        if tracked:
            metrics = {f"{begin}/{name}": value for name, value in found.metrics().items()}
            # The newest evaluation is what the run shows. One without a Monte Carlo error leaves what has one alone:
            # its number would stand beside the other's error.
            there = find_run(reference, uri=uri).metrics
            for item in found.estimates:
                if item.monte_carlo_error is None and f"{begin}/{item.name}_monte_carlo_error" in there:
                    metrics = {name: value for name, value in metrics.items()
                               if name.removeprefix(f"{begin}/") not in item.metrics()}  # fmt: skip
            log_results(reference, metrics, list(files.values()), uri=uri)
            console.print(f"kept with run {reference}")
    return results


def evaluate(net: VRNN, subject: Subject, request: Request, told: Told) -> Evaluation:
    """Scores a subject.

    Args:
        net: The model, on its device.
        subject: What is scored.
        request: What is asked, in full.
        told: Told of the progress.
    """
    assert request.batch_size is not None
    assert request.seed is not None
    N, most, seed = len(subject.sequences), request.batch_size, request.seed
    estimates = [
        estimate(
            net,
            subject.batches(most),
            name,
            particles=request.particles,
            scale=subject.scale,
            seed=seed,
            repetitions=request.repetitions,
            progress=Counter(told, name, N),
        )
        for name in dict.fromkeys([*(request.names or estimators_for(net)), "iid_gaussian"])
    ]
    frames, carried = estimates[0].frames, _carried(net, subject, request, told)
    estimates += carried
    estimates += [Estimate(name, Kind.EXACT, nats, frames, subject.scale) for name, nats in subject.references.items()]
    bits = flac_bits_per_sample(subject.sequences, lossless=subject.lossless)
    use = diagnosis = None
    if net.has_latents and (request.weights is not None or not request.names):
        use = latent_use(net, subject.batches(most), seed=seed)
    if request.weights is not None:
        weights = collect_log_weights(
            net, subject.batches(most), request.weights, seed=seed, progress=Counter(told, "weights", N)
        )
        diagnosis = diagnose(weights)
    compressions = [] if bits is None else [Compression("flac", bits)]
    warnings = _few_samples(estimates) if diagnosis is None else diagnosis.warnings()
    floor = floor_share(net, subject.batches(most), seed=seed, dithered=subject.scale.dithered)
    warnings += [] if floor is None else floor.warnings()
    if request.carry not in (None, 1) and not carried:
        warnings.append("nothing is carried: no recording here has two segments (--segment cuts sound into them)")
    return Evaluation(estimates, compressions, use, diagnosis, warnings, floor)


def _carried(net: VRNN, subject: Subject, request: Request, told: Told) -> list[Estimate]:
    """The same estimates of segments that go on from those before them; none where there are no such segments."""
    joined = None if request.carry in (None, 1) else subject.carried(request.carry or None)
    if joined is None or joined.counts.max() == 1:
        return []
    assert request.batch_size is not None
    assert request.seed is not None
    return [
        estimate_carried(
            net,
            subject.batches(request.batch_size, joined),
            name,
            starts=joined.starts,
            lengths=subject.sequences.lengths,
            carry=request.carry or None,
            every=int(subject.sequences.lengths.max()),
            particles=request.particles,
            scale=subject.scale,
            seed=request.seed,
            repetitions=request.repetitions,
            progress=Counter(told, f"{name} (carried)", len(subject.sequences)),
        )
        for name in dict.fromkeys(request.names or estimators_for(net))
        if name != "iid_gaussian"
    ]


def _complete(request: Request, net: VRNN, trained: TrainingOptions) -> Request:
    """What is asked, with what the run says where nothing was given; refuses what has no meaning for the model."""
    for name in request.names:
        estimator_for(net, name)
    if request.weights is not None and not net.has_latents:
        raise ConfigurationError("--diagnose: the model has no latents, so nothing is sampled; leave it out")
    return request._replace(
        seed=trained.seed if request.seed is None else request.seed,
        batch_size=request.batch_size or trained.batch_size or 64,
        carry=(trained.carry or 1) if request.carry is None else request.carry,
    )


def _few_samples(estimates: Sequence[Estimate]) -> list[str]:
    """Warnings of importance sampling from its effective samples alone."""
    for found in estimates:
        if found.name.startswith("iwae_") and float(np.median(found.details["ess"])) < EFFECTIVE:
            K = int(found.name.removeprefix("iwae_"))
            curve = Curve(np.array([K]), np.array([found.per_sequence]), np.array([np.nan]))
            return Diagnosis(curve, found.details["ess"], None, None, None).warnings()
    return []


def _files(stem: Path, results: dict[str, Any], found: Evaluation, subject: Subject) -> dict[str, Path]:
    """Writes what is kept of an evaluation, by ending."""
    endings = ["json", "sequences.csv", *([] if found.diagnosis is None else ["importance.png"])]
    files = {ending: stem.with_name(f"{stem.name}.{ending}") for ending in endings}
    files["json"].write_text(json.dumps(results, indent=2), encoding="utf-8")
    table = sequence_table(found.estimates, subject.names, subject.sequences.speakers, subject.seconds)
    if found.diagnosis is not None:
        details = found.diagnosis.details.items()
        table |= {f"weights_{found.diagnosis.samples}_{name}": column for name, column in details}
        # A second, which only those who look need to wait for.
        from pyro_vrnn.figures.importance import bound_against_samples

        elbo = next((item.per_sequence for item in found.estimates if item.name == "elbo"), None)
        bound_against_samples(found.diagnosis, elbo=elbo, title=subject.title).savefig(files["importance.png"])
    write_table(files["sequences.csv"], table)
    return files
