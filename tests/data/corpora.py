"""Small folders in the exact formats of the paper's corpora, as they are distributed."""

import csv
import io
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from pyro_vrnn.data.protocols import PROTOCOLS, Plan

from .files import RATE, noise, tone, write

SENTENCES = {
    "SA1": "She had your dark suit in greasy wash water all year.",
    "SA2": "Don't ask me to carry an oily rag like that.",
    "SI648": "A sailboat may have a bone in her teeth one minute and lie becalmed the next.",
    "SX37": "Critical equipment needs proper maintenance.",
}
TRAIN = ["FCJF0", "FDAW0", "MCPM0", "MDAC0"]
TEST = ["FAKS0", "MDAB0"]

PASSAGE = "Please call Stella.  Ask her to bring these things with her from the store:\nSix spoons of fresh snow peas."
SPEAKERS = ["afrikaans1", "english1", "english2", "english10", "mandarin1", "spanish3"]

FORMS = {
    "a01-000u": ("trainset.txt", "10001", ["By Trevor Williams. A move", "to stop Mr. Gaitskell from"]),
    "a01-000x": ("trainset.txt", "10002", ["nominating any more Labour", "life Peers & is to be made"]),
    "a01-000": ("testset_f.txt", "10003", ["at a meeting of Labour"]),
    "b05-032z": ("testset_t.txt", "10004", ["M Ps tomorrow.", "Mr. Michael Foot has"]),
    "c02-035": ("testset_v.txt", "10005", ["put down a resolution on", "the subject and he is to"]),
    "d06-037": ("none", "10006", ["be backed by Mr. Will"]),
}


def sphere(samples: np.ndarray, *, rate: int = RATE, utterance: str = "cjf0_sa1") -> bytes:
    """A NIST SPHERE file of 16-bit little-endian samples: a header of 1024 bytes, padded with blanks."""
    fields = [
        "NIST_1A",
        "   1024",
        "database_id -s5 TIMIT",
        "database_version -s3 1.0",
        f"utterance_id -s{len(utterance)} {utterance}",
        "channel_count -i 1",
        f"sample_count -i {len(samples)}",
        f"sample_rate -i {rate}",
        f"sample_min -i {samples.min()}",
        f"sample_max -i {samples.max()}",
        "sample_n_bytes -i 2",
        "sample_byte_format -s2 01",
        "sample_sig_bits -i 16",
        "end_head",
        "",
    ]
    return "\n".join(fields).encode().ljust(1024) + samples.astype("<i2").tobytes()


def write_timit(root: Path, *, lower: bool = False, copies: bool = False, top: str = "TIMIT/") -> Path:
    """TIMIT: 16 sentences of 4 training speakers, 8 of 2 test speakers; `copies`: RIFF copies as in re-releases."""
    seed = 0
    for part, speakers in (("TRAIN", TRAIN), ("TEST", TEST)):
        for region, speaker in enumerate(speakers, start=1):
            for sentence, words in SENTENCES.items():
                seed += 1
                samples = noise(2400 + 200 * seed, seed=seed)
                path = f"{part}/DR{region}/{speaker}/{sentence}"
                files: dict[str, bytes] = {
                    "WAV": sphere(samples, utterance=f"{speaker[1:]}_{sentence}".lower()),
                    "TXT": f"0 {len(samples)} {words}\n".encode(),
                    "WRD": f"0 {len(samples)} {words.split()[0].lower()}\n".encode(),
                    "PHN": f"0 {len(samples)} h#\n".encode(),
                }
                for suffix, content in files.items():
                    file = root / (top + (f"{path}.{suffix}".lower() if lower else f"{path}.{suffix}"))
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(content)
                if copies:
                    write(root / f"{top}{path}.WAV.wav", samples)
    documents = root / (top + ("doc" if lower else "DOC"))
    documents.mkdir(parents=True, exist_ok=True)
    (documents / "SPKRSENT.TXT").write_text("; each speaker's sentences\nCJF0 1 2 37\n")
    return root


def write_blizzard(root: Path, *, editions: tuple[str, ...] = ("unsegmented", "segmented")) -> Path:
    """Blizzard 2013: MP3 recordings at 44.1 kHz, and sentences cut out of them as WAV at 16 kHz with `prompts.gui`."""
    if "unsegmented" in editions:
        for book in ("anna_karenina", "mansfield_park"):
            for chapter in range(4):
                speech = tone(70000 + 9000 * chapter, hertz=180 + 40 * chapter, rate=44100)
                write(root / f"unsegmented/{book}/{book}_{chapter:02d}.mp3", speech, 44100)
    if "segmented" in editions:
        prompts = []
        for i in range(8):
            name = f"CA-BB-01-{i + 1:02d}"
            write(root / f"segmented/wavn/{name}.wav", noise(9000 + 4000 * i, seed=i))
            prompts += [name, f"@ Sentence {i} , of  Black Beauty .", f"# s eh1 n t {i} ||"]
        (root / "segmented/prompts.gui").write_text("\n".join(prompts) + "\n")
    return root


def write_onomatopoeia(root: Path, *, actors: int = 4, clips: int = 6) -> Path:
    """Short clips of several lengths, one folder an actor. The corpus was never public: its layout is not known."""
    for actor in range(actors):
        for clip in range(clips):
            write(
                root / f"actor{actor + 1:02d}/laugh_{clip + 1:02d}.wav",
                noise(2000 + 333 * clip, seed=clip + 10 * actor),
            )
    return root


def write_accent(root: Path) -> Path:
    """The Speech Accent Archive: MP3 at 44.1 kHz, one file a speaker, a table of speakers and the passage."""
    for i, speaker in enumerate(SPEAKERS):
        speech = tone(60000 + 12000 * i, hertz=150 + 30 * i, rate=44100)
        write(root / f"recordings/recordings/{speaker}.mp3", speech, 44100)
    (root / "reading-passage.txt").write_text(PASSAGE)
    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(
        [
            "age",
            "age_onset",
            "birthplace",
            "filename",
            "native_language",
            "sex",
            "speakerid",
            "country",
            "file_missing?",
        ]
    )
    for i, speaker in enumerate([*SPEAKERS, "nicaragua1", "synthesized1"]):
        missing = "TRUE" if speaker == "nicaragua1" else "FALSE"
        rows.writerow(
            [27, 9, "virginia, south africa", speaker, speaker.rstrip("0123456789"), "female", i, "usa", missing]
        )
    (root / "speakers_all.csv").write_text(table.getvalue())
    return root


def line_xml(strokes: list[list[tuple[int, int]]], *, start: float = 13090871.08) -> str:
    """A line of IAM-OnDB: strokes of points on the whiteboard's grid, y downward, ten milliseconds apart."""
    parts = [
        '<?xml version="1.0" encoding="ISO-8859-1"?>',
        "<WhiteboardCaptureSession>",
        "  <WhiteboardDescription>",
        '    <SensorLocation corner="top_left"/>',
        '    <DiagonallyOppositeCoords x="6512" y="1376"/>',
        '    <VerticallyOppositeCoords x="966" y="1376"/>',
        '    <HorizontallyOppositeCoords x="6512" y="787"/>',
        "  </WhiteboardDescription>",
        "  <StrokeSet>",
    ]
    clock = start
    for stroke in strokes:
        end = clock + 0.01 * (len(stroke) - 1)
        parts.append(f'    <Stroke colour="black" start_time="{clock:.2f}" end_time="{end:.2f}">')
        for x, y in stroke:
            parts.append(f'      <Point x="{x}" y="{y}" time="{clock:.2f}"/>')
            clock += 0.01
        parts.append("    </Stroke>")
        clock -= 0.03  # as in some files, whose time stamps run backward
    return "\n".join([*parts, "  </StrokeSet>", "</WhiteboardCaptureSession>", ""])


def strokes(seed: int, *, count: int = 4) -> list[list[tuple[int, int]]]:
    """Strokes of a random walk to the right, each of several points."""
    random = np.random.default_rng(seed)
    walk = np.cumsum(random.integers([-3, -20], [25, 21], (12 * count, 2)), axis=0) + np.array([1073, 1058])
    return [[(int(x), int(y)) for x, y in part] for part in np.split(walk, count)]


def write_iam(root: Path, *, forms_txt: bool = False, originals: bool = True) -> Path:
    """IAM-OnDB as its archives unpack: lines, transcripts, forms with their writers, and the lists of the task t1."""
    lists: dict[str, list[str]] = {f"{name}.txt": [] for name in ("trainset", "testset_v", "testset_t", "testset_f")}
    for k, (form, (wanted, writer, words)) in enumerate(FORMS.items()):
        folder = f"{form[:3]}/{form[:7]}"
        for number, _ in enumerate(words, start=1):
            path = root / f"lineStrokes-all/lineStrokes/{folder}/{form}-{number:02d}.xml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(line_xml(strokes(10 * k + number)), encoding="latin-1")
        ascii_ = root / f"ascii-all/ascii/{folder}/{form}.txt"
        ascii_.parent.mkdir(parents=True, exist_ok=True)
        recognised = "\n".join(line.upper() for line in words)
        ascii_.write_text("OCR:\n\n" + recognised + "\n\n\nCSR:\n\n" + "\n".join(words) + "\n\n", newline="\r\n")
        if originals:
            original = root / f"original-xml-part/original/{folder}/strokes{form[7:]}.xml"
            original.parent.mkdir(parents=True, exist_ok=True)
            head = f'<General>\n<Form id="{k}" writerID="{writer}" saveTime="63249001.0"/>\n</General>'
            original.write_text(f'<?xml version="1.0"?>\n<WhiteboardCaptureSession>{head}</WhiteboardCaptureSession>\n')
        if wanted in lists:
            lists[wanted].append(form)
    for name, forms in lists.items():
        (root / name).write_text("".join(f" {form}\n" for form in forms))
    if forms_txt:
        (root / "forms.txt").write_text("".join(f"{form} {writer}\n" for form, (_, writer, _) in FORMS.items()))
    (root / "writers.xml").write_text('<?xml version="1.0"?>\n<Writers><Writer name="10001"/></Writers>\n')
    return root


def names_in(root: Path) -> list[str]:
    """Paths of all files under a folder, relative to it."""
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


WRITERS = {
    "timit": write_timit,
    "blizzard": write_blizzard,
    "onomatopoeia": write_onomatopoeia,
    "accent": write_accent,
    "iam-ondb": write_iam,
}
"""What writes each of the paper's corpora into a folder."""


def plan(corpus: str, root: Path, seed: int = 0, names: list[str] | None = None, **given: Any) -> Plan:
    return PROTOCOLS[corpus].plan_folder(names_in(root) if names is None else names, given, seed, root)


def speakers(planned: Plan) -> dict[str | None, set[str | None]]:
    """The speakers of every part."""
    sides: dict[str | None, set[str | None]] = {}
    for one in planned.used:
        sides.setdefault(one.part, set()).add(one.speaker)
    return sides


def shared(planned: Plan) -> int:
    """How many speakers are on more than one side."""
    return sum(count > 1 for count in Counter(who for side in speakers(planned).values() for who in side).values())
