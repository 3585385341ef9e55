"""Density and coverage: precision and recall that outliers disturb less."""

from gan_jax.evaluation.metric import Comparison, Measurement, Metric
from gan_jax.metrics import density_coverage


def _measure(c: Comparison) -> Measurement:
    real, generated = c.as_many()
    return Measurement(density_coverage(real, generated)._asdict(), len(real), len(generated))


DENSITY_COVERAGE = Metric(
    "density_coverage",
    "density and coverage by nearest neighbors",
    ("density", "coverage"),
    _measure,
    meanings={
        "density": (
            "How closely samples lie where real examples are dense: near 1, or above, if they "
            "look right."
        ),
        "coverage": (
            "The share of real examples with a sample beside them: how much of the data's variety "
            "is made. 1 is all."
        ),
    },
    higher_is_better=("density", "coverage"),
    least=6,
    place=50,
)
