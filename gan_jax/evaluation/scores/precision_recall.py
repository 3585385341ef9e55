"""Precision and recall: whether samples lie among the real examples, and those among samples."""

from gan_jax.evaluation.metric import Comparison, Measurement, Metric
from gan_jax.metrics import precision_recall


def _measure(c: Comparison) -> Measurement:
    real, generated = c.as_many()
    return Measurement(precision_recall(real, generated)._asdict(), len(real), len(generated))


PRECISION_RECALL = Metric(
    "precision_recall",
    "precision and recall by nearest neighbors",
    ("precision", "recall"),
    _measure,
    meanings={
        "precision": (
            "The share of samples that lie among real examples: of those that look right. 1 is all."
        ),
        "recall": (
            "The share of real examples that lie among samples: how much of the data's variety is "
            "made. 1 is all."
        ),
    },
    higher_is_better=("precision", "recall"),
    default=lambda setting: setting.images,
    least=4,
    place=40,
)
