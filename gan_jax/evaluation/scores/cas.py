"""The classification accuracy score: how well a classifier trained on samples alone knows real
images."""

from typing import Any

from gan_jax.evaluation.extractors import classifier
from gan_jax.evaluation.metric import Comparison, Measurement, Metric, Setting
from gan_jax.metrics import classification_accuracy_score


def _needs(setting: Setting) -> str:
    met = setting.images and setting.subject.classes
    return "" if met else "a model of images that is told classes"


def _measure(c: Comparison) -> Measurement:
    real, num_classes = c.real, c.real.num_classes
    assert c.labels is not None
    assert real.labels is not None
    assert num_classes is not None

    def fit(images: Any, labels: Any) -> Any:
        return classifier.fit(images, labels, num_classes).predict

    accuracy = classification_accuracy_score(c.fake, c.labels, real.examples, real.labels, fit=fit)
    return Measurement({"CAS": accuracy}, len(real.examples), len(c.fake))


CAS = Metric(
    "cas",
    "classification accuracy score",
    ("CAS",),
    _measure,
    meanings={
        "CAS": (
            "How often a classifier that learned from samples alone is right about real images: 1 "
            "is always."
        ),
    },
    higher_is_better=("CAS",),
    needs=_needs,
    place=90,
)
