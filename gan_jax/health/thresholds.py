"""Where the states of `gan_jax.health.diagnosis` begin.

They were chosen on one half of the runs of `evidence.diagnosis`, of 50 checks each, and measured on
the other. Reports say them beside the curves.
"""

WINDOW = 5  # checks
LEARNING = 8  # checks, before which a generator may look untrained
CONFIRMING = 2  # checks in a row that have to find a failure
SETTLED = 20  # checks, before which nothing is called converged
HUGE = 1e4  # of feedback or the discriminator's loss
REPLACED = 0.3  # of the parameters by one update
RECOGNIZED = 0.62  # recognition
PERFECT = 0.97  # auc
VANISHED = 0.1  # feedback, over its largest value
FAR = 0.5  # distance
STUCK = 0.03  # the generator's update ratio, over the discriminator's
FOOLED = 0.1  # auc
CHANCE = 0.65  # auc
SILENT = 0.05  # feedback, over distance
COPIES = 0.5  # duplicates
NARROW = 0.4  # diversity
MISSING = 0.3  # missing
FALLEN = 0.1  # distance, above the best
CHANGING = 0.5  # movement
HOPPING = 0.8  # movement
SWING = 0.15  # auc, from one check to the next
ABOVE = 0.55  # auc, and as much below 1
NEAR = 0.25  # distance
STABLE = 0.9  # distance, over what it was
STILL = 3  # scores, none of which is much better than the best before them
GAINED = 0.98  # a score that is lower than this share of what it was, is better
BARELY = 0.05  # recall or coverage, below which a generator has only begun
NOISE = 0.003  # distance
PROGRESS = 0.85  # distance, over what it was
