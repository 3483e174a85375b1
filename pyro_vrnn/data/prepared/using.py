"""A prepared corpus as sequences that are read from its file."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ...errors import DataError
from ..corpus import Corpus, Unsplit
from ..dither import Dither
from ..kinds import WORDS
from ..normaliser import Normaliser
from ..options import DataOptions
from ..recordings import Skipped, segment_frames
from ..sequences import Sequences
from ..statistics import Moments, normaliser_of
from .manifest import INDEX, Manifest, read_manifest
from .parting import SPLITTING
from .store import Made, Rows, Store


def load(options: DataOptions, *, seed: int) -> Corpus:
    """The corpus in a folder that `prepare` made, with the split and the statistics of its preparation.

    Args:
        options: `source` is the folder; `frame`, `segment`, `dither` and `normaliser` are chosen here.
        seed: Which noise of a dither.

    Raises:
        DataError: The folder is damaged, or an option has no meaning for it.
    """
    prepared = _Prepared(options, seed)
    manifest, counts = prepared.manifest, prepared.manifest.counts
    moments = [Moments(*one) for one in manifest.statistics]
    normaliser = normaliser_of(moments, manifest.kind, options.normaliser)
    parts = {part: prepared.sequences(part, normaliser) for part in ("train", "validation", "test")}
    return Corpus(
        name=options.source,
        kind=manifest.kind,
        sample_rate=manifest.sample_rate,
        frame=prepared.frame,
        lsb=manifest.lsb,
        lossless=manifest.lossless,
        normaliser=normaliser,
        train=parts["train"],
        validation=parts["validation"],
        test=parts["test"],
        skipped=(*(Skipped(*one) for one in manifest.skipped), *prepared.short),
        checksum=manifest.checksum,
        speakers=manifest.speakers,
        clips=len(prepared.rows) - len(prepared.short),
        dropped=prepared.dropped,
        constant_clips=counts["constant_clips"],
        constant_frames=counts["constant_frames"],
        dither=options.dither,
    )


def read(options: DataOptions, normaliser: Normaliser, *, seed: int) -> Unsplit:
    """All sequences of a prepared corpus, without its split, in the order of their names.

    Args:
        options: As for `load`.
        normaliser: The map of the corpus that the model was trained on.
        seed: Which noise of a dither.

    Raises:
        DataError: As `load` does.
    """
    prepared = _Prepared(options, seed)
    manifest = prepared.manifest
    skipped = (*(Skipped(*one) for one in manifest.skipped), *prepared.short)
    return Unsplit(prepared.sequences(None, normaliser), skipped, manifest.lsb, manifest.lossless)


class _Prepared:
    """The index of a prepared corpus, and its recordings cut as it is asked."""

    def __init__(self, options: DataOptions, seed: int) -> None:
        self.options, self.seed = options, seed
        self.manifest = read_manifest(options.source)
        _check(options, self.manifest)
        folder = Path(options.source).expanduser()
        index = pq.read_table(folder / INDEX).unify_dictionaries().combine_chunks()
        self.store = Store(folder, self.manifest.dtype)
        sound = self.manifest.kind == "audio"
        self.frame = options.frame if sound else self.manifest.frame
        self.start, self.rows = (index[name].to_numpy() for name in ("start", "rows"))
        self.width = 1 if sound else self.frame  # values of a stored row
        self.parts = index["part"].combine_chunks()
        # Text stays where Arrow holds it: a Python string a recording would take ten times as much.
        self.names, self.voices = index["name"].combine_chunks(), index["speaker"].combine_chunks()
        segment = None
        if sound and not self.manifest.options.get("cut"):
            length = self.manifest.segment if options.segment is None else options.segment
            assert self.manifest.sample_rate is not None
            segment = segment_frames(options.model_copy(update={"segment": length}), self.manifest.sample_rate)
        frames = self.rows // (self.frame if sound else 1)
        self.segment = segment
        self.counts = frames // segment if segment else (frames >= 2).astype(np.int64)
        self.lengths = np.full(len(frames), segment) if segment else frames
        self.short = self._short()
        used = self.counts * self.lengths * (self.frame if sound else 1)
        self.dropped = int((self.rows - used)[self.counts > 0].sum())

    def sequences(self, part: str | None, normaliser: Normaliser) -> Sequences:
        """Those of a part, or of all."""
        options, manifest = self.options, self.manifest
        every = np.arange(len(self.rows))
        if part is not None:
            code = self.parts.dictionary.to_pylist().index(part)
            every = every[self.parts.indices.to_numpy() == code]
        cut = _Cut(self, every)
        if not len(cut):
            raise DataError(
                f"--data {options.source}: no sequence of its {part} part is as long as --segment {options.segment:g}; "
                "pass fewer seconds"
            )
        dither = None
        if options.dither:
            assert manifest.lsb is not None
            dither = Dither(self.seed, manifest.lsb, range(len(cut)))
        return Sequences(
            Made(cut.frames, range(len(cut))),
            Made(cut.name, range(len(cut))),
            None if manifest.speakers is None else Made(cut.speaker, range(len(cut)), cut.speakers),
            frame=self.frame,
            sample_rate=manifest.sample_rate,
            normaliser=normaliser,
            dither=dither,
            kind=manifest.kind,
            step=manifest.step,
            lengths=cut.lengths,
            recordings=cut.recordings,
        )

    def _short(self) -> tuple[Skipped, ...]:
        words = WORDS[self.manifest.kind]
        least = f"a segment of {self.segment} {words.frame}s" if self.segment else f"two {words.frame}s"
        return tuple(
            Skipped(self.names[i].as_py(), f"{self.rows[i]} {words.value}s are less than {least} of {self.frame}")
            for i in np.flatnonzero(self.counts == 0).tolist()
        )


class _Cut:
    """Sequences of some recordings: whole ones, or segments one after another."""

    def __init__(self, prepared: _Prepared, every: NDArray[np.int64]) -> None:
        self.store, self.frame, self.width = prepared.store, prepared.frame, prepared.width
        self.kept = every[prepared.counts[every] > 0]
        self.ends = np.cumsum(prepared.counts[self.kept])
        self.start, self.segment = prepared.start[self.kept], prepared.segment
        self.whole = prepared.lengths[self.kept]
        self.names, self.voices = prepared.names.take(self.kept), prepared.voices.take(self.kept)
        counts = prepared.counts[self.kept]
        self.lengths: NDArray[np.int64] = np.repeat(self.whole, counts).astype(np.int64)
        self.recordings = np.repeat(np.arange(len(self.kept)), counts)

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def frames(self, i: int) -> Rows:
        """The stored frames of a sequence."""
        k, segment = self._place(i)
        first = (int(self.start[k]) * self.width) + segment * (self.segment or 0) * self.frame
        return Rows(self.store, first, (int(self.whole[k]), self.frame))

    def name(self, i: int) -> str:
        """The name of a sequence."""
        k, segment = self._place(i)
        name: str = self.names[k].as_py()
        return f"{name}#{segment}" if self.segment else name

    def speaker(self, i: int) -> str:
        """The speaker of a sequence; "" where that of others is known."""
        return self.voices[self._place(i)[0]].as_py() or ""

    @property
    def speakers(self) -> int:
        """How many are known."""
        return len(self.voices.unique().drop_null())

    def _place(self, i: int) -> tuple[int, int]:
        k = int(np.searchsorted(self.ends, i, side="right"))
        return k, i - (int(self.ends[k - 1]) if k else 0)


def _check(options: DataOptions, manifest: Manifest) -> None:
    """See that nothing is asked that was decided when the corpus was prepared."""
    usual, told = DataOptions(), f"--data {options.source}"
    rate = options.sample_rate
    if rate is not None and rate != manifest.sample_rate:
        if manifest.sample_rate is None:
            raise DataError(f"{told}: --sample-rate {rate}: its rows have no rate; leave it out")
        holds = f"holds {manifest.sample_rate} Hz"
        raise DataError(f"{told}: {holds}, not {rate} Hz; prepare it again with --sample-rate {rate}")
    for name in ("resample", "mix", *SPLITTING):
        if getattr(options, name) != getattr(usual, name):
            flag = f"--set data.{name}" if name in ("validation", "test") else f"--{name.replace('_', '-')}"
            if manifest.kind != "audio" and name not in SPLITTING:
                raise DataError(f"{told}: {flag}: of sound alone; leave it out")
            raise DataError(f"{told}: {flag} was decided when it was prepared; leave it out, or prepare it again")
    if manifest.kind != "audio":
        if "frame" in options.model_fields_set and options.frame not in (usual.frame, manifest.frame):
            raise DataError(f"{told}: --frame {options.frame}: its rows have {manifest.frame} values; leave it out")
        if options.segment:
            raise DataError(f"{told}: --segment {options.segment:g}: its rows have no rate; leave it out")
    elif manifest.options.get("cut") and options.segment not in (None, manifest.segment):
        raise DataError(f"{told}: --segment was decided when its segments were shuffled; leave it out")
    if options.normaliser == "released" and manifest.kind != "pen":
        raise DataError(f"{told}: --normaliser released: of pen strokes alone; leave it out")
    if options.dither and manifest.undithered is not None:
        raise DataError(f"{told}: {manifest.undithered.removesuffix('; leave it out')}; leave --dither out")
