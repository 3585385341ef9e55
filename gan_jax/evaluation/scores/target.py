"""How many translations a classifier of the domains takes for images of the target domain."""

import numpy as np

from gan_jax.evaluation.metric import Comparison, Measurement, Metric, Setting


def _needs(setting: Setting) -> str:
    if setting.subject.target is None:
        return "a model that translates"
    return "" if setting.logits == "classes" else "the extractor classifier"


def _measure(c: Comparison) -> Measurement:
    assert c.logits is not None
    taken = np.argmax(c.logits, axis=1) == c.subject.target
    return Measurement({"target": float(taken.mean())}, 0, len(c.fake))


TARGET = Metric(
    "target",
    "share that a classifier takes for the target domain",
    ("target",),
    _measure,
    meanings={
        "target": (
            "The share of translations that a classifier takes for real images of the target "
            "domain: 1 is all."
        ),
    },
    higher_is_better=("target",),
    needs=_needs,
    default=lambda setting: not _needs(setting),
    place=95,
)
