"""The classification accuracy score: can samples stand in for the training set?"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Integer, Num

from gan_jax.metrics._inputs import AnyArray

Predict = Callable[[AnyArray], Integer[AnyArray, " n"]]


def classification_accuracy_score(
    fake: Num[AnyArray, "m ..."],
    fake_labels: Integer[AnyArray, " m"],
    real: Num[AnyArray, "n ..."],
    real_labels: Integer[AnyArray, " n"],
    *,
    fit: Callable[[AnyArray, AnyArray], Predict],
) -> float:
    """The accuracy, from 0 to 1, on real images of a classifier trained on samples alone.

    `fit(images, labels)` trains a classifier and returns `predict(images) -> labels`. Compare
    with the accuracy after `fit` on real training data. The real images here should be held out:
    neither the generator nor `fit` has seen them.

    Source: Ravuri & Vinyals, "Classification Accuracy Score for Conditional Generative Models",
    2019.

    Raises:
        ValueError: if there are not as many labels as images, or predictions as real images, or
            if there are no images.
    """
    for name, images, labels in (("fake", fake, fake_labels), ("real", real, real_labels)):
        if np.shape(labels) != (len(images),) or len(images) == 0:
            raise ValueError(f"{len(images)} {name} images, labels {np.shape(labels)}")
    predicted = np.asarray(fit(fake, fake_labels)(real))
    if predicted.shape != (len(real),):
        raise ValueError(f"{len(real)} real images, predictions {predicted.shape}")
    return float(np.mean(predicted == np.asarray(real_labels)))
