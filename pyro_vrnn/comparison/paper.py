"""The paper's own numbers: Table 1 of Chung et al. (2015), average log-likelihood a sequence in nats."""

from dataclasses import replace

from pyro_vrnn.model.variants import ALIASES, PEN, VARIANTS, ModelOptions, resolve, row

#: By preset, then by variant: the exact likelihood, or the bound and what its text calls importance sampling.
TABLE: dict[str, dict[str, tuple[int, ...]]] = {
    "blizzard": {
        "rnn-gauss": (3539,),
        "rnn-gmm": (7413,),
        "vrnn-i": (8933, 9188),
        "vrnn-gauss": (9223, 9516),
        "vrnn-gmm": (9107, 9392),
    },
    "timit": {
        "rnn-gauss": (-1900,),
        "rnn-gmm": (26643,),
        "vrnn-i": (28340, 29639),
        "vrnn-gauss": (28805, 30235),
        "vrnn-gmm": (28982, 29604),
    },
    "onomatopoeia": {
        "rnn-gauss": (-984,),
        "rnn-gmm": (18865,),
        "vrnn-i": (19053, 19638),
        "vrnn-gauss": (20721, 21332),
        "vrnn-gmm": (20849, 21219),
    },
    "accent": {
        "rnn-gauss": (-1293,),
        "rnn-gmm": (3453,),
        "vrnn-i": (3843, 4180),
        "vrnn-gauss": (3952, 4223),
        "vrnn-gmm": (4140, 4319),
    },
    "iam-ondb": {
        "rnn-gauss": (1016,),
        "rnn-gmm": (1358,),
        "vrnn-i": (1332, 1353),
        "vrnn-gauss": (1337, 1354),
        "vrnn-gmm": (1384, 1384),
    },
}

#: To be said beside them.
REMARK = (
    "Chung et al. 2015: Table 1 as printed; its ≈ is the released code's sum of per-step averages (~ here), and all of"
    " it is comparable only on the same corpus, split and standardisation"
)
REMARKS = {
    "iam-ondb": (
        "IAM-OnDB as printed: of the validation lines; the released normaliser's std is about sqrt(2) too large, which"
        " adds about 0.69 nats a step"
    ),
    "onomatopoeia": "Onomatopoeia as printed: of the validation set",
}


def printed(options: ModelOptions) -> tuple[int, ...]:
    """What the paper prints for a model; empty where it has no such model, or the sizes are not the paper's.

    Released widths are those of its code, matched ones those of its text (Sec. 4.1).
    """
    variant = ALIASES.get(options.variant, options.variant)
    own, parts = VARIANTS.get(variant), row(options)
    if own is None or options.recurrence != "lstm":
        return ()
    same = (own.prior, own.guide) == (parts.prior, parts.guide)
    same &= parts.emission in (own.emission, PEN.get(own.emission))
    numbers = TABLE.get(options.preset, {}).get(variant, ()) if same else ()
    return numbers if numbers and _sizes_as_printed(options) else ()


def _sizes_as_printed(options: ModelOptions) -> bool:
    theirs = ModelOptions(variant=options.variant, preset=options.preset, emission=options.emission)
    if row(options).arguments != row(theirs).arguments:
        return False
    # Released widths do not depend on the values in a frame. Matched ones do, and are taken for what they are called.
    own, printed_ = (resolve(each.model_copy(update={"widths": "released"}), 1) for each in (options, theirs))
    return own == (replace(printed_, widths=own.widths) if options.widths == "matched" else printed_)
