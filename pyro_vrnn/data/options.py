"""What a user chooses about recordings. Importing it loads neither NumPy nor an audio library."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

LINEAR_GAUSSIAN = "linear-gaussian"
HANDWRITING = "demo-handwriting"

EMBEDDED: dict[str, str] = {
    "demo-speech": "16 minutes of English sentences read by 24 synthetic voices, 16 kHz (eSpeak NG: extra `speech`)",
    HANDWRITING: "750 lines of English words written with a pen, in the hands of 250 synthetic writers",
    LINEAR_GAUSSIAN: "2500 simulated sequences of 40 frames of 4 values whose exact log-likelihood is known",
}
"""Names that `source` knows without a folder, each with a line for people."""


class DataOptions(BaseModel):
    """Which recordings are read, how they are cut into frames, and how they are split."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = Field(
        default="demo-speech",
        description="An embedded set's name, or a folder of audio files (WAV, FLAC, OGG, MP3, NIST SPHERE), "
        "searched recursively.",
    )
    frame: int = Field(default=200, ge=1, description="Samples a frame.")
    sample_rate: int | None = Field(
        default=None, gt=0, description="Expected rate in Hz. None: the rate of the files, which must agree."
    )
    resample: bool = Field(
        default=False,
        description="Convert files of another rate to `sample_rate` or, without one, to the most common rate.",
    )
    mix: bool = Field(default=False, description="Average the channels of files that have several.")
    segment: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="Cut clips into segments of this many seconds, rounded to whole frames; what is left at a clip's "
        "end is dropped. 0: whole clips, of different lengths. None: as the embedded set has it, else whole clips.",
    )
    dither: bool = Field(
        default=False,
        description="Add noise, uniform over one step of the source's integers, to each sample before it is "
        "standardised, in training and in scoring: a density then bounds the probability of the integers.",
    )
    split: Literal["random", "speaker", "list"] = Field(
        default="random",
        description="How parts are chosen: files at random, speakers at random (none is on two sides), or test files "
        "from `test_list`.",
    )
    test_pattern: str | None = Field(
        default=None,
        description="A regular expression, searched in each path relative to `source`: files that match are the test "
        "set, and `split` divides the others into training and validation.",
    )
    speaker_pattern: str | None = Field(
        default=None,
        description="A regular expression, searched in each path relative to `source`: its first group is the "
        "speaker. Needed by split 'speaker'; embedded sets know theirs.",
    )
    test_list: str | None = Field(
        default=None,
        description="A text file whose lines are the test files' paths relative to `source`. Needed by split 'list'.",
    )
    normaliser: Literal["training", "released"] = Field(
        default="training",
        description="How pen strokes are standardised: by mean and standard deviation of the training part's offsets, "
        "or by those of the released code of the paper, whose sums over dx and dy are divided by the number of points: "
        "a standard deviation sqrt(2) too large, which raises log-likelihoods by about 0.69 nats a point.",
    )
    validation: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="Fraction of files (split 'speaker': of speakers) in the validation part; of those outside the "
        "test set where `test_pattern` or `test_list` names it.",
    )
    test: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="Fraction of files (split 'speaker': of speakers) in the test part, unless `test_pattern` or "
        "`test_list` names it.",
    )

    @model_validator(mode="before")
    @classmethod
    def _what_the_set_is(cls, given: Any) -> Any:
        """What is simulated has its own frames: neither the default nor a preset's segment is meant for it."""
        if isinstance(given, dict) and given.get("source") == LINEAR_GAUSSIAN:
            return {"frame": 4, "segment": 0.0, **given}
        return given
