"""From a source's name to a corpus."""

from collections.abc import Sequence
from typing import NamedTuple

from ..errors import DataError
from . import linear_gaussian
from .corpus import Corpus, Unsplit
from .dither import Dither
from .kinds import PEN, Kind
from .normaliser import Normaliser
from .options import EMBEDDED, HANDWRITING, LINEAR_GAUSSIAN, DataOptions
from .prepared.manifest import is_prepared, read_manifest
from .recordings import Progress, Recordings, read_recordings, segment_frames
from .sequences import INT16_STEP, Sequences
from .splits import check_options, find_speakers, split_names
from .statistics import moments, normaliser_of, training_moments


class Source(NamedTuple):
    """What is known of a source before it is read.

    Attributes:
        kind: What its sequences are of.
        frame: Values a frame.
    """

    kind: Kind
    frame: int


def look(options: DataOptions) -> Source:
    """What is known of a source before it is read; nothing is rendered or decoded.

    Raises:
        DataError: A prepared cache's manifest cannot be read.
    """
    if options.source == LINEAR_GAUSSIAN:
        return Source("arrays", len(linear_gaussian.MODEL.R))
    if _is_cache(options):
        manifest = read_manifest(options.source)
        return Source(manifest.kind, options.frame if manifest.kind == "audio" else manifest.frame)
    if options.source == HANDWRITING:
        return Source("pen", PEN)
    return Source("audio", options.frame)


def load(options: DataOptions, *, seed: int, progress: Progress | None = None) -> Corpus:
    """Read, split and standardise a corpus; what is simulated is the same for every seed.

    Args:
        options: What is read and how.
        seed: Which random split, and which noise of a dither.
        progress: Called with what is being done, how many items are done, and how many there are.

    Raises:
        DataError: Something a user can mend, in one line.
    """
    if options.source == LINEAR_GAUSSIAN:
        return _simulate(options)
    if _is_cache(options):
        from .prepared import using

        return using.load(options, seed=seed)
    if options.source == HANDWRITING:
        from . import handwriting

        return handwriting.corpus(options, seed=seed, progress=progress)
    name = options.source
    options = _resolve(options, progress)
    found = read_recordings(options, progress)
    names = [clip.name for clip in found.clips]
    speakers = find_speakers(names, options)
    split = split_names(names, speakers, options, seed=seed, skipped={path for path, _ in found.skipped})
    training = training_moments((found.clips[i].frames for i in split.train), "audio", step=INT16_STEP)
    if training[0].squares == 0:
        raise DataError(f"--data {name}: the training part is digital silence; expected recordings of sound")
    normaliser = normaliser_of(training, "audio")

    def part(indices: Sequence[int]) -> Sequences:
        return _sequences(found, indices, speakers, options, normaliser, seed)

    return Corpus(
        name=name,
        sample_rate=found.sample_rate,
        frame=options.frame,
        lsb=found.grid.lsb,
        lossless=found.grid.lossless,
        normaliser=normaliser,
        train=part(split.train),
        validation=part(split.validation),
        test=part(split.test),
        skipped=found.skipped,
        checksum=found.checksum,
        speakers=None if speakers is None else len(set(speakers)),
        clips=len(found.clips),
        dropped=found.dropped,
        constant_clips=found.constant_clips,
        constant_frames=found.constant_frames,
        dither=options.dither,
    )


def read(options: DataOptions, normaliser: Normaliser, *, seed: int = 0, progress: Progress | None = None) -> Unsplit:
    """All recordings of a source without any split, for scoring, encoding or priming with a trained model.

    Args:
        options: What is read and how; here `source` may also be one audio file, and nothing is said about splits.
        normaliser: The map of the corpus that the model was trained on.
        seed: Which noise of a dither.
        progress: As in `load`.

    Raises:
        DataError: Something a user can mend, in one line.
    """
    if options.source == LINEAR_GAUSSIAN:
        linear_gaussian.check_options(options)
        return Unsplit(linear_gaussian.sequences(linear_gaussian.parts(), normaliser), (), None, False)
    if _is_cache(options):
        from .prepared import using

        return using.read(options, normaliser, seed=seed)
    if options.source == HANDWRITING:
        from . import handwriting

        handwriting.check_options(options)
        lines = handwriting.stored(progress)
        sequences = handwriting.sequences(lines, normaliser, seed if options.dither else None)
        return Unsplit(sequences, (), handwriting.LSB, True)
    options = _resolve(options, progress)
    found = read_recordings(options, progress)
    speakers = find_speakers([clip.name for clip in found.clips], options)
    sequences = _sequences(found, range(len(found.clips)), speakers, options, normaliser, seed)
    return Unsplit(sequences, found.skipped, found.grid.lsb, found.grid.lossless)


def _is_cache(options: DataOptions) -> bool:
    return options.source not in EMBEDDED and is_prepared(options.source)


def _resolve(options: DataOptions, progress: Progress | None) -> DataOptions:
    """Options that make sense and whose source is a folder or a file; an embedded set is rendered on first use."""
    if options.normaliser == "released":
        raise DataError(
            f"--normaliser released: of pen strokes alone, and --data {options.source} is sound; leave it out"
        )
    if options.source not in EMBEDDED:
        check_options(options)
        return options
    from . import demo

    own = {
        "speaker_pattern": options.speaker_pattern or demo.SPEAKER_PATTERN,
        "segment": demo.SEGMENT if options.segment is None else options.segment,
    }
    options = options.model_copy(update=own)
    check_options(options)
    return options.model_copy(update={"source": str(demo.prepare(progress))})


def _sequences(
    found: Recordings,
    indices: Sequence[int],
    speakers: Sequence[str] | None,
    options: DataOptions,
    normaliser: Normaliser,
    seed: int,
) -> Sequences:
    """Whole clips, or their segments in order; all of a clip's segments are in one part."""
    segment = segment_frames(options, found.sample_rate)
    frames, names, voices, recordings = [], [], [], []
    for i in indices:
        clip = found.clips[i]
        for k in range(len(clip.frames) // segment if segment else 1):
            frames.append(clip.frames[k * segment : (k + 1) * segment] if segment else clip.frames)
            names.append(f"{clip.name}#{k}" if segment else clip.name)
            voices.append("" if speakers is None else speakers[i])
            recordings.append(i)
    dither = None
    if options.dither:
        assert found.grid.lsb is not None  # read_recordings has refused floats
        dither = Dither(seed, found.grid.lsb, range(len(frames)))
    return Sequences(
        frames,
        names,
        None if speakers is None else voices,
        frame=options.frame,
        sample_rate=found.sample_rate,
        normaliser=normaliser,
        dither=dither,
        recordings=recordings,
    )


def _simulate(options: DataOptions) -> Corpus:
    linear_gaussian.check_options(options)
    parts = linear_gaussian.parts()
    raw, training = Normaliser(0.0, 1.0), moments([parts["train"]])
    train, validation, test = (linear_gaussian.sequences({name: parts[name]}, raw) for name in parts)
    return Corpus(
        name=options.source,
        kind=train.kind,
        sample_rate=linear_gaussian.RATE,
        frame=train.frame,
        lsb=None,
        lossless=False,
        normaliser=raw,
        train=train,
        validation=validation,
        test=test,
        skipped=(),
        checksum=linear_gaussian.checksum(parts),
        speakers=None,
        clips=len(train) + len(validation) + len(test),
        references=linear_gaussian.references(linear_gaussian.MODEL, parts["test"]),
    ).with_normaliser(Normaliser(training.mean, training.std))
