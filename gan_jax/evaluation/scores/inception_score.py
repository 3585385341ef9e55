"""The Inception score, by whichever classifier."""

from gan_jax.evaluation.metric import Comparison, Measurement, Metric, Setting
from gan_jax.metrics import inception_score


def _needs(setting: Setting) -> str:
    return (
        ""
        if setting.logits != "none"
        else "the extractor classifier, efficientnet-lite0 or inception"
    )


def _measure(c: Comparison) -> Measurement:
    assert c.logits is not None
    return Measurement({"IS": inception_score(c.logits).mean}, 0, len(c.fake))


INCEPTION_SCORE = Metric(
    "is",
    "Inception score",
    ("IS",),
    _measure,
    meanings={
        "IS": (
            "Whether a classifier is sure of every sample, and sees all classes: from 1 to the "
            "number of classes. It does not compare with the data."
        ),
    },
    higher_is_better=("IS",),
    needs=_needs,
    least=10,
    place=30,
)
