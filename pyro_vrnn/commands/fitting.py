"""What ``fit`` does, in its order: read, build, train, score, keep."""

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from pyro_vrnn.commands import closing, display, reporting
from pyro_vrnn.commands.evaluating import Evaluation, Request, evaluate
from pyro_vrnn.commands.integers import check_bits
from pyro_vrnn.commands.linked import datasets
from pyro_vrnn.commands.parts_typed import trust_parts
from pyro_vrnn.commands.picturing import Member
from pyro_vrnn.commands.progress import progress
from pyro_vrnn.commands.ranks import joined, launches, same_data, settled, train_along
from pyro_vrnn.commands.resuming import checkpoint_of, stored_config
from pyro_vrnn.commands.snapshots import Snapshots
from pyro_vrnn.commands.starting import start
from pyro_vrnn.commands.subject import Subject
from pyro_vrnn.commands.supervising import report, supervise
from pyro_vrnn.commands.tables import sequence_table, write_table
from pyro_vrnn.commands.watching import Watcher
from pyro_vrnn.data import Corpus, load, look, runs
from pyro_vrnn.errors import first_line
from pyro_vrnn.inference.estimators import ESTIMATORS
from pyro_vrnn.inference.results import Scale
from pyro_vrnn.model import own
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.sizes import parameters_per_part
from pyro_vrnn.model.variants import build
from pyro_vrnn.serving import model_record
from pyro_vrnn.tracking import (
    TrackedRun,
    find_run,
    provenance,
    shown,
    tracking_uri,
)
from pyro_vrnn.training.config import Config, read
from pyro_vrnn.training.device import Precision, device_named, name_of
from pyro_vrnn.training.files import write_whole
from pyro_vrnn.training.loop import Trainer
from pyro_vrnn.training.objective import check_objective, validated_by
from pyro_vrnn.training.saving import TrainedModel, save_model
from pyro_vrnn.training.weighted import check_free_bits
from pyro_vrnn.training.world import World


class InterruptedRunError(Exception):
    """Ctrl-C ended the training; everything was scored and kept."""


#: The test set's results, a row a sequence.
SEQUENCES = "results.sequences.csv"


def run(
    given: dict[str, dict[str, Any]], file: Path | None, settings: tuple[str, ...], resume: str | None
) -> dict[str, Any]:
    """Trains, scores and tracks one run, printing as it goes.

    Args:
        given: Options by room.
        file: A stored configuration.
        settings: ``room.name=value``.
        resume: A run to go on with.

    Returns:
        What ``results.json`` holds; nothing on ranks but the first.

    Raises:
        UserError: Anything a user can mend; nothing half-written is left.
    """
    out = display.console()
    trust_parts(given, settings)
    config = read(file, given, settings) if resume is None else stored_config(resume, given, file, settings)
    uri = tracking_uri(config.tracking.uri)
    if config.tracking.uri is not None and shown(config.tracking.uri) != config.tracking.uri:
        # The configuration is stored with the run and the model: a password of the store's must not be.
        config = config.model_copy(update={"tracking": config.tracking.model_copy(update={"uri": None})})
    source = look(config.data)
    config = config.explicit(source.frame, source.kind)
    check_objective(config.training, latents=config.model.prior is not None, auxiliary=config.model.auxiliary)
    config = settled(config)
    if launches(config.training):
        sys.exit(supervise(config.training))
    with joined(config.training) as world:
        out.quiet = not world.writes
        return _fit(config, world, uri, resume, out)


def _fit(config: Config, world: World, uri: str, resume: str | None, out: Console) -> dict[str, Any]:
    device = world.device or device_named(config.training.device)
    precision = Precision(config.training.precision, device).name
    out.print(
        f"device {name_of(device)}{f', {world.size} ranks' if world.size > 1 else ''}, {torch.get_num_threads()} "
        f"threads, torch {torch.__version__}, seed {config.training.seed}"
        + ("" if precision == "float32" else f", precision {precision}")
    )
    corpus = _read(config, out)
    same_data(world.gather(corpus.checksum))
    for line in corpus.lines():
        out.print(line)
    if (carry := config.training.carry or 1) > 1:
        most = max(map(len, runs(corpus.train)))
        what = f"over {carry} segments of a recording" if most > 1 else "nowhere: no recording has two segments"
        out.print(f"the state is carried {what}")
    checkpoint = None if resume is None else world.from_first(lambda: checkpoint_of(resume, corpus, uri))
    if config.model.emission == "bernoulli":
        check_bits(corpus.name, corpus.train, corpus.validation, corpus.test)
    torch.manual_seed(config.training.seed)
    net = build(config.model, corpus.frame, corpus.describe()).to(device)
    for source in own.imported(config.model.sources or ()):
        out.print(f"code of your own: {source.module}, {source.path}, SHA-256 {source.checksum[:12]}")
    if config.training.free_bits:
        check_free_bits(net)
    out.print(f"{config.model.variant} ({config.model.preset}), {display.parameters_line(parameters_per_part(net))}")
    if not world.writes:
        train_along(config, corpus, net, world, checkpoint)
        return {}
    tracked = start(config, corpus, net, uri) if resume is None else TrackedRun.resume(resume, uri=uri)
    with tracked:
        report(tracked.id, tracked.name, uri)
        return _train_and_score(config, corpus, net, tracked, out, checkpoint, world)


def _train_and_score(
    config: Config, corpus: Corpus, net: VRNN, tracked: TrackedRun, out: Console, checkpoint: Path | None, world: World
) -> dict[str, Any]:
    folder = tracked.folder
    bound = ESTIMATORS[validated_by(config.training.objective, net)].kind.mark
    trained = TrainedModel(net, config.kept(), corpus.describe())
    reported = config.tracking.report is not False
    snapshots = Snapshots(trained, tracked, config.training.seed) if reported else None
    watcher = Watcher(tracked, bound, out, snapshots)
    trainer = Trainer(net, corpus.train, corpus.validation, config.training, folder / "checkpoint", watcher, world)
    watcher.expect(trainer)
    if checkpoint is not None:
        trainer.resume(checkpoint)
        tracked.rewind(trainer.progress.step)
        out.print(f"resuming {tracked.name} after step {trainer.progress.step}, epoch {trainer.progress.epoch}")
    else:
        write_whole(folder / "config.toml", config.kept().toml().encode())
        parts = {part: sequences.listed() for part, sequences in corpus.parts.items()}
        write_whole(folder / "split.json", json.dumps(parts, indent=1).encode())
        for path in (folder / "config.toml", folder / "split.json"):
            tracked.artifact(path)
        watcher.begin()
    begun, seconds = trainer.progress.step, trainer.seconds_per_epoch()
    left = max(trainer.steps - begun, 0)
    epochs = math.ceil(left / trainer.steps_per_epoch)
    out.print(
        f"run {tracked.name}: {epochs} epochs of {trainer.steps_per_epoch} steps, "
        f"about {display.duration(seconds * left / trainer.steps_per_epoch)}"
    )
    started = time.monotonic()
    with watcher.shown:
        completed = trainer.fit()
    world.close()
    done = trainer.progress
    why = "ended by Ctrl-C (once more ends at once)" if not completed else f"ended after {done.epoch} epochs"
    out.print(
        f"training {why}, {display.duration(time.monotonic() - started)}; scoring epoch {done.best_epoch}'s state"
    )
    subject = _test_set(corpus)
    found = _score(config, subject, net, folder, out)
    results = display.as_json(
        found.estimates,
        compressions=found.compressions,
        run=tracked.id,
        name=tracked.name,
        variant=config.model.variant,
        seed=config.training.seed,
        objective=config.training.objective,
        objective_kind=trainer.objective.kind.name.lower(),
        validated_by=validated_by(config.training.objective, net),
        completed=completed,
        best_epoch=done.best_epoch,
        best_validation=done.best,
        steps=done.step,
        parameters=parameters_per_part(net),
        latents=None if found.use is None else found.use.as_dict(),
        share_at_sigma_floor=None if found.floor is None else found.floor.share,
        warnings=found.warnings,
        data=corpus.describe(),
        skipped=[list(item) for item in corpus.skipped],
        said=reporting.said(
            closing.table(corpus, found),
            closing.remarks(corpus, found),
            corpus.lines(),
            name_of(next(net.parameters()).device),
            provenance(),
        ),
    )
    metrics = {f"test/{name}": value for name, value in found.metrics().items()}
    if done.step > begun or "test/iid_gaussian" not in find_run(tracked.id, uri=tracked.uri).metrics:
        tracked.log(done.step, metrics)  # the store would keep a second point for a step that is scored again
        tracked.checkpointed(done.step)
    write_whole(folder / "results.json", json.dumps(results, indent=2).encode())
    save_model(folder / "model", net, config.kept(), corpus.describe())
    for path in (folder / "results.json", folder / SEQUENCES, folder / "model", folder / "checkpoint"):
        tracked.artifact(path)
    test = datasets(corpus)["test"]
    tags = {"variant": config.model.variant, "data": corpus.name, "seed": str(config.training.seed)}
    tracked.model(model_record(trained, folder / "model", tracked.name, tags, (test.name, test.digest)), "test/")
    closing.close(tracked, config, corpus, found, out)
    if reported:
        _report(results, Member(config.model.variant, trained, subject), tracked, out)
    if not completed:
        tracked.finish("KILLED", "ended by Ctrl-C")
        raise InterruptedRunError
    return results


def _report(results: dict[str, Any], member: Member, tracked: TrackedRun, out: Console) -> None:
    """The last thing: whatever happens to it, the run is scored and kept."""
    try:
        with progress(out) as told:
            run = reporting.Run.here(results, tracked.folder, tracked.uri)
            written = reporting.write(run, member, tracked.folder, told, seed=results["seed"])
        for path in written:
            tracked.artifact(path)
    except (Exception, KeyboardInterrupt) as error:
        why = "ended by Ctrl-C" if isinstance(error, KeyboardInterrupt) else first_line(error)
        out.print(f"no report: {why}; make it with: python cli.py analyze {tracked.id[:8]} --out analysis")
        return
    out.print(f"{'report:':<12} {written[0]}")


def _test_set(corpus: Corpus) -> Subject:
    return Subject(
        corpus.test,
        Scale(corpus.width, corpus.std_lsb, corpus.dither),
        f"test set: {len(corpus.test)} sequences, standardised by the training set",
        corpus.describe(),
        corpus.lossless,
        corpus.references,
    )


def _score(config: Config, subject: Subject, net: VRNN, folder: Path, out: Console) -> Evaluation:
    """The test set, touched once; what it says of each sequence goes to the folder."""
    request = Request(
        particles=config.evaluation.particles,
        repetitions=config.evaluation.repetitions,
        batch_size=config.training.batch_size,
        seed=config.training.seed,
        carry=config.training.carry,
    )
    with progress(out) as told:
        found = evaluate(net, subject, request, told)
    table = sequence_table(found.estimates, subject.names, subject.sequences.speakers, subject.seconds)
    write_table(folder / SEQUENCES, table)
    return found


def _read(config: Config, out: Console) -> Corpus:
    with progress(out, aloud="render") as told:
        return load(config.data, seed=config.training.seed, progress=told)
