"""Which quantities of a run share a chart, and what the page says of each: what it is, for a
newcomer, which way is better, and what is normal. Where states begin, the diagnosis knows."""

from typing import NamedTuple

from gan_jax.evaluation.metric import higher_is_better, meaning
from gan_jax.health import thresholds


class Panel(NamedTuple):
    """A chart of several quantities of one run, or of one quantity of several runs."""

    title: str
    about: str
    """What it shows, its terms explained."""
    normal: str
    """Which way is better, and what a healthy run looks like."""
    names: dict[str, str]
    """From the name in the log to the label on the page."""
    log: bool = False
    limits: tuple[float, float] | None = None
    level: float | None = None


_AUC = Panel(
    "Ranking (AUC)",
    "How often the discriminator rates a real example above a generated one. Held out are real "
    "examples that it never trained on: the gap to these is what it knows by heart.",
    f"Neither way is better. Normal: between {thresholds.FOOLED:g} and {thresholds.PERFECT:g}, and "
    f"nearer to ½ (dashed, chance) as samples get better; without held-out gap, training over held "
    f"out stays below {thresholds.RECOGNIZED:g}.",
    {
        "auc": "training over generated",
        "auc_held_out": "held out over generated",
        "recognition": "training over held out",
    },
    limits=(-0.03, 1.03),
    level=0.5,
)
_DISTANCE = Panel(
    "Distance",
    "How far samples as a whole are from real examples, by simple features: a Fréchet distance "
    "over the variance of real ones.",
    f"Lower is better, and 0 (dashed) is perfect. Normal: it falls and levels off below "
    f"{thresholds.NEAR:g}; above {thresholds.FAR:g} samples are far from the data.",
    {"distance": "distance"},
    level=0.0,
)

OF_RUN = (
    _DISTANCE,
    Panel(
        "Diversity",
        "Diversity: how much samples vary, over how much real examples do. Missing: the share of "
        "the data that samples leave out. Duplicates: the share of samples that nearly copy "
        "others.",
        f"Normal: diversity near 1 (dashed), the others near 0. A generator that repeats itself "
        f"(mode collapse) has a diversity below {thresholds.NARROW:g}, or more than "
        f"{thresholds.MISSING:g} missing or {thresholds.COPIES:g} duplicates.",
        {"diversity": "diversity", "missing": "missing", "duplicates": "duplicates"},
        level=1.0,
    ),
    _AUC,
    Panel(
        "Discriminator's accuracy",
        "The share of training examples that it takes for what they are: real, or generated.",
        "Neither way is better. Normal: above ½ (dashed, chance), and nearer to it as samples get "
        "better. If it stays at 1, the generator has little to learn from.",
        {"d/accuracy": "all", "d/accuracy_real": "on real", "d/accuracy_fake": "on generated"},
        limits=(-0.03, 1.03),
        level=0.5,
    ),
    Panel(
        "Losses",
        "What each network minimises. The penalty, if any, is the part of the discriminator's that "
        "keeps its verdicts from changing too steeply.",
        f"Neither way is better: a loss says nothing of quality. Normal: all of them level off; "
        f"above {thresholds.HUGE:,.0f} a run has diverged.",
        {"d/loss": "discriminator", "g/loss": "generator", "d/penalty": "penalty"},
    ),
    Panel(
        "The generator's terms",
        "What it minimises, without the weights: what the discriminator says (adversarial), and "
        "the distances to the true images, of pixels and of features (perceptual).",
        "Lower is better for the distances. Normal: these fall and level off, and the adversarial "
        "term stays bounded.",
        {f"g/{term}": term for term in ("adversarial", "pixel", "perceptual")},
    ),
    Panel(
        "The generators' terms",
        "What they minimise, without the weights: how far from passing for the other domain (a, b: "
        "of what is made), from coming back to the image begun with (cycle), and from leaving "
        "alone what is of that domain already (identity).",
        "Lower is better for cycle and identity. Normal: these fall and level off, and the "
        "adversarial terms stay bounded.",
        {
            f"g/{term}_{domain}": f"{term}, {domain}"
            for term in ("adversarial", "cycle", "identity")
            for domain in "ab"
        },
    ),
    Panel(
        "Logits",
        "The discriminator's verdicts as bare numbers, on average: the higher, the more real. "
        "Only the gap between them means anything.",
        "Neither way is better. Normal: real above generated, by a gap that narrows or stands; one "
        "that widens for good is a discriminator that runs away.",
        {"d/real_logit": "real", "d/fake_logit": "generated"},
    ),
    Panel(
        "Gradient norms",
        "How steeply each network's loss changes with its parameters; logarithmic.",
        "Neither way is better. Normal: level or drifting slowly, with small spikes; growth by "
        "powers of ten comes before divergence.",
        {"d/grad_norm": "discriminator", "g/grad_norm": "generator"},
        log=True,
    ),
    Panel(
        "Update ratios",
        "How much one update changes a network: its size over that of the parameters; logarithmic.",
        f"Neither way is better. Normal: level or falling, and alike. Above "
        f"{thresholds.REPLACED:g} a run has diverged; below {thresholds.STUCK:g} of the "
        f"discriminator's, the generator is stuck.",
        {"d/update_ratio": "discriminator", "g/update_ratio": "generator"},
        log=True,
    ),
    Panel(
        "Feedback",
        "How strongly the discriminator tells the generator where to go: the size of the gradient "
        "that it gives; logarithmic.",
        f"Neither way is better. Normal: it falls slowly as samples get better. Below "
        f"{thresholds.VANISHED:g} of its peak, from a discriminator that is always right, the "
        f"gradient has vanished.",
        {"feedback": "feedback"},
        log=True,
    ),
    Panel(
        "Movement",
        "Movement: the share of what is generated that changed since the check before. Drift: how "
        "far the generator is from its moving average, which makes the samples.",
        f"Lower is steadier. Normal: both settle; movement above {thresholds.CHANGING:g} while the "
        f"distance does not fall is oscillation.",
        {"movement": "movement", "drift": "drift from average"},
    ),
)

_OTHER_LOSSES = "Neither way is better, and runs of different losses do not compare."

COMPARED = {
    "distance": _DISTANCE,
    "auc": _AUC._replace(
        about="How often the discriminator rates a real example above a generated one.",
        normal=f"Neither way is better. Normal: between {thresholds.FOOLED:g} and "
        f"{thresholds.PERFECT:g}, and nearer to ½ (dashed, chance) as samples get better.",
    ),
    "d/loss": Panel(
        "Discriminator's loss",
        "How wrong it is about what is real, as its loss counts.",
        _OTHER_LOSSES,
        {},
    ),
    "g/loss": Panel(
        "Generator's loss", "How far it is from passing, as its loss counts.", _OTHER_LOSSES, {}
    ),
}
"""By the name in the log: what is compared of runs, beside their scores."""


def of_score(title: str) -> Panel:
    """Of a score, or of several that differ in their conventions alone: `FID[pixels, train]`."""
    name = title.partition("[")[0]
    way, trend = ("Higher", "rises") if higher_is_better(name) else ("Lower", "falls")
    return Panel(title, meaning(name), f"{way} is better. Normal: it {trend} and levels off.", {})
