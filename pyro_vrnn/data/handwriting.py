"""The embedded set `demo-handwriting`: lines of a few English words, each writer's in a hand of their own.

What a writer always does is drawn once a writer (`hands`), and no writer is on two sides of the split: what a model
knows of the style of a line in the test part it has learnt from the line's own beginning.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .cache import cached
from .corpus import PARTS, Corpus
from .dither import Dither
from .hands import draw_hand, write_line
from .kinds import PEN
from .normaliser import Normaliser
from .options import HANDWRITING, DataOptions
from .recordings import Progress, count_constant
from .sequences import Sequences
from .splits import check_nothing_asked
from .statistics import normaliser_of, training_moments

WRITERS = {"train": 200, "validation": 20, "test": 30}
LINES = 3  # a writer
SHORTEST, LONGEST = 6, 16  # letters a line
SEED = 18701911  # of the set, not of a run: everybody has the same lines
FORMAT = 1  # raise it when lines are made differently
LSB = 1.0  # lines are on a grid of integers
ROWS, INDEX = "rows.npy", "lines.json"

_TEXT = """
about above after again along always among apple arrive asked autumn away baker basket beach became before begin below
better beyond birds black blue boat bread bridge bring broken brown build burn busy button called candle carry castle
chair change cheese child city clean clear clock close cloud coat cold colour cook corner cotton could country crowd
dance dark daughter deep dinner door down dozen dream drink drive early earth east eight empty engine enough evening
every exact example extra eyes face family farm father feather field finger first fish five flower follow forest found
four fresh friend from front fruit full garden gave gentle give glass going gold good grass great green ground grow half
hand happy harbour have hear heavy help high hill hold home honey horse house hundred idea into island jacket jam jelly
join joke journey joy judge juice jump just keep kettle key kind king kitchen knew know lake lamp language large last
late laugh lazy leaf learn leave left lemon letter light like line listen little lively long look lost love lucky lunch
made magic make many market matter may maybe meadow meet middle milk mind minute mirror money month moon more morning
mother mountain move much music must name near never new next night nine noise north nothing number ocean often old
once only open orange other our over own page paint paper park pencil people piano picture place plain plant play
please plenty pocket point poor power pretty proud pure puzzle queen quick quiet quite rabbit rain reach read ready
red rest rich ride right ring river road room round sail salt same sand saw say school sea second secret seed seven
shade share sharp ship shirt shoe shop short silver simple sing sister sit six sky sleep slow small smile snow soft
some song soon south speak spring square stand star start station stay stone story street strong sugar summer sun
sweet table take talk tall taste teach tell ten than thank that their then there these they thick thin thing think
those thread three time today together told tomorrow tower town train travel tree true turn twelve twenty two uncle
under until upon use valley very view village violin visit voice wait walk wall warm was wash watch water way weather
week well west wet wheat wheel when where which while whisper white who whole why wide wife wild wind window wine
winter wise with woman wonder wood word work world write yard year yellow yes yesterday young your zebra zero
"""

WORDS: tuple[str, ...] = tuple(_TEXT.split())
"""Distinct English words with every letter among them."""


class Line(NamedTuple):
    """A line of the set.

    Attributes:
        name: `writer/number`.
        rows: `(dx, dy, pen)` in steps of the grid, int16, `(T, 3)`, as `hands.write_line` gives them.
        writer: Who wrote it.
        text: Its words.
        part: `train`, `validation` or `test`: that of the writer.
    """

    name: str
    rows: np.ndarray
    writer: str
    text: str
    part: str


def lines() -> Iterator[Line]:
    """All lines, writer by writer, always the same: NumPy keeps the numbers of `RandomState` for good."""
    number = 0
    for part, writers in WRITERS.items():
        for _ in range(writers):
            writer = f"w{number:03d}"
            hand = draw_hand(np.random.RandomState([SEED, number]))
            for k in range(LINES):
                random = np.random.RandomState([SEED, number, 1 + k])
                text = compose(random)
                yield Line(f"{writer}/{k}", write_line(text, hand, random), writer, text, part)
            number += 1


def compose(random: np.random.RandomState) -> str:
    """Two to four words of `SHORTEST` to `LONGEST` letters together; half of all lines begin with a capital."""
    number = random.randint(2, 5)
    words: list[str] = []
    while not SHORTEST <= sum(map(len, words)) <= LONGEST:
        words = [WORDS[i] for i in random.randint(len(WORDS), size=number)]
    text = " ".join(words)
    return text[0].upper() + text[1:] if random.uniform() < 0.5 else text


def checksum(lines: Iterable[Line]) -> str:
    """SHA-256 over the names, texts, parts and rows of lines."""
    digest = hashlib.sha256()
    for line in lines:
        for word in (line.name, line.writer, line.text, line.part):
            digest.update(word.encode() + b"\0")
        digest.update(line.rows.astype("<i2").tobytes())
    return digest.hexdigest()


def prepare(progress: Progress | None = None) -> Path:
    """The folder with the set, written on first use (seconds) into the cache: all rows, and an index of the lines.

    Raises:
        DataError: The cache cannot be written.
    """
    recipe = {"format": FORMAT, "fonts": version("Hershey-Fonts"), "seed": SEED, "writers": WRITERS, "lines": LINES}
    recipe |= {"words": WORDS, "letters": (SHORTEST, LONGEST)}
    digest = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()

    def build(folder: Path) -> dict[str, object]:
        written, total = list[Line](), LINES * sum(WRITERS.values())
        for line in lines():
            if progress is not None:
                progress(f"writing {HANDWRITING}", len(written), total)
            written.append(line)
        if progress is not None:
            progress(f"writing {HANDWRITING}", total, total)
        np.save(folder / ROWS, np.concatenate([line.rows for line in written]).astype("<i2"))
        index = [[line.name, len(line.rows), line.writer, line.text, line.part] for line in written]
        (folder / INDEX).write_text(json.dumps(index), encoding="utf-8")
        return {"recipe": digest, "format": FORMAT, "fonts": recipe["fonts"]}

    return cached(f"{HANDWRITING}-{digest[:12]}", build)


def stored(progress: Progress | None = None) -> list[Line]:
    """All lines, from the cache.

    Raises:
        DataError: The cache cannot be written.
    """
    folder = prepare(progress)
    rows = np.load(folder / ROWS)
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    stops = np.cumsum([length for _, length, *_ in index])
    pieces = np.split(rows, stops[:-1])
    return [Line(name, piece, *rest) for (name, _, *rest), piece in zip(index, pieces, strict=True)]


def corpus(options: DataOptions, *, seed: int, progress: Progress | None = None) -> Corpus:
    """The set in its parts, which are the same for every seed.

    Args:
        options: Dither and normaliser; nothing else has a meaning here.
        seed: Which noise of a dither.
        progress: As in `load`.

    Raises:
        DataError: An option has no meaning here, or the cache cannot be written.
    """
    check_options(options)
    written = stored(progress)
    groups = {part: [line for line in written if line.part == part] for part in PARTS}
    found = training_moments((line.rows for line in groups["train"]), "pen", step=LSB)
    normaliser = normaliser_of(found, "pen", options.normaliser)
    noise = seed if options.dither else None
    train, validation, test = (sequences(groups[part], normaliser, noise) for part in PARTS)
    return Corpus(
        name=HANDWRITING,
        kind="pen",
        sample_rate=None,
        frame=PEN,
        lsb=LSB,
        lossless=True,
        normaliser=normaliser,
        train=train,
        validation=validation,
        test=test,
        skipped=(),
        checksum=checksum(written),
        speakers=sum(WRITERS.values()),
        clips=len(written),
        constant_frames=sum(count_constant(line.rows, "pen") for line in written),
        dither=options.dither,
    )


def sequences(lines: Sequence[Line], normaliser: Normaliser, seed: int | None) -> Sequences:
    """Lines as sequences.

    Args:
        lines: Of one part, or of all.
        normaliser: The map to standardised values.
        seed: Of a dither; None for none.
    """
    return Sequences(
        [line.rows for line in lines],
        [line.name for line in lines],
        [line.writer for line in lines],
        frame=PEN,
        sample_rate=None,
        normaliser=normaliser,
        dither=None if seed is None else Dither(seed, LSB, range(len(lines))),
        kind="pen",
        step=LSB,
    )


def check_options(options: DataOptions) -> None:
    """See that nothing is asked of the set that it does not have.

    Raises:
        DataError: An option has no meaning here.
    """
    check_nothing_asked(
        options,
        DataOptions(source=HANDWRITING, dither=options.dither, normaliser=options.normaliser),
        {"frame": PEN, "segment": 0.0},  # as a run stores them; as unset
        "its lines (points of a pen; no writer is in two parts)",
    )
