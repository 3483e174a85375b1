"""What ``fit`` links its run with in MLflow's views of data sets."""

import hashlib
import json
from pathlib import Path

from pyro_vrnn.data import Corpus
from pyro_vrnn.tracking import DatasetRecord

#: What each part is used for, in MLflow's word where it has one.
CONTEXTS = {"train": "training", "validation": "validation", "test": "test"}


def datasets(corpus: Corpus) -> dict[str, DatasetRecord]:
    """The parts of a corpus as data sets, by name; the digest is of the corpus and of the sequences in the part."""
    name, described = Path(corpus.name).name or corpus.name, corpus.describe()
    source = str(Path(corpus.name).absolute()) if Path(corpus.name).exists() else corpus.name
    every = {key: value for key, value in described.items() if value is not None}
    made = {}
    for part, sequences in corpus.parts.items():
        listed = json.dumps([corpus.checksum, part, sequences.listed()])
        made[part] = DatasetRecord(
            name=f"{name}-{part}",
            source=source,
            digest=hashlib.sha256(listed.encode()).hexdigest()[:36],
            context=CONTEXTS[part],
            profile={"num_rows": len(sequences), **every},
        )
    return made
