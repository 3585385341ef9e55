"""How many modes samples cover, of a mixture of Gaussians or of the classes of images."""

from gan_jax.evaluation.metric import Comparison, Measurement, Metric, Setting
from gan_jax.metrics import class_modes, mixture_modes


def _needs(setting: Setting) -> str:
    met = setting.subject.mixture is not None or setting.logits == "classes"
    return "" if met else "ring or grid, or the extractor classifier"


def _measure(c: Comparison) -> Measurement:
    mixture, quality = c.subject.mixture, {}
    if mixture is not None:
        scores = mixture_modes(c.fake, mixture.centers, mixture.std)
        quality = {"high quality": scores.high_quality}
    else:
        assert c.logits is not None
        assert c.real.num_classes is not None
        predicted = c.logits.argmax(axis=1)
        scores = class_modes(predicted, c.real.num_classes, real_labels=c.real.every_label)
    values = {
        "modes": scores.covered,
        **quality,
        "KL(fake‖real)": scores.kl_fake_real,
        "KL(real‖fake)": scores.kl_real_fake,
    }
    return Measurement(values, 0, len(c.fake))


MODES = Metric(
    "modes",
    "modes of a mixture, or classes, that samples cover",
    ("modes", "high quality", "KL(fake‖real)", "KL(real‖fake)"),
    _measure,
    meanings={
        "modes": "How many of the data's clusters (modes), or classes, samples reach.",
        "high quality": "The share of samples that lie close to a mode. 1 is all.",
        "KL(fake‖real)": (
            "How unlike the data's the frequencies of modes are among samples, counted where "
            "samples are: 0 is equal."
        ),
        "KL(real‖fake)": (
            "How unlike the data's the frequencies of modes are among samples, counted where the "
            "data are: 0 is equal, and a lost mode makes it large."
        ),
    },
    higher_is_better=("modes", "high quality"),
    needs=_needs,
    default=lambda setting: setting.subject.mixture is not None,
    place=100,
)
