"""How alike pairs of samples are: the less, the more diverse."""

from gan_jax.evaluation.metric import Comparison, Measurement, Metric
from gan_jax.metrics import ms_ssim_diversity


def _measure(c: Comparison) -> Measurement:
    return Measurement({"MS-SSIM": ms_ssim_diversity(c.fake)}, 0, len(c.fake))


MS_SSIM = Metric(
    "ms_ssim",
    "structural similarity of pairs of samples",
    ("MS-SSIM",),
    _measure,
    meanings={
        "MS-SSIM": (
            "How alike pairs of samples are, from 0 to 1: as much as pairs of real images is "
            "right, and more is too little variety."
        ),
    },
    needs=lambda setting: "" if setting.images else "images",
    least=2,
    place=70,
)
