"""Measures again what the documentation claims.

    python -m evidence ring

NAME is one of the tables below. What is measured is written to `evidence/results/NAME.json` row by
row, with the command, commit, versions, hardware, seeds and every score; rows that are there are
not measured again, so the same command goes on after an interruption. Delete the file, or give
another `--results`, to begin anew. At the end the table is printed in Markdown. Tables of MNIST and
CIFAR-10 need them prepared by TFDS, in $TFDS_DATA_DIR; their runs are kept in `runs/evidence`.
"""

import argparse
import functools
from collections.abc import Callable
from pathlib import Path

from evidence import (
    conditions,
    extractors,
    images,
    little_data,
    mixtures,
    restoration,
    stacked_mnist,
    sweeps,
    transfer,
    translation,
)
from evidence.record import RESULTS, Record
from gan_jax import compilation

TABLES: dict[str, Callable[[Record], str]] = {
    "ring": functools.partial(mixtures.reproduce, "ring"),
    "grid": functools.partial(mixtures.reproduce, "grid"),
    "losses": mixtures.reproduce_losses,
    "stacked_mnist": stacked_mnist.reproduce,
    "mnist": functools.partial(images.reproduce_recipes, "mnist"),
    "cifar10": functools.partial(images.reproduce_recipes, "cifar10"),
    "little_data": little_data.reproduce,
    "transfer": transfer.reproduce,
    "conditions": conditions.reproduce,
    "extractors": extractors.reproduce,
    "sweep": sweeps.reproduce,
    "pairs": functools.partial(restoration.reproduce, restoration.PAIRS),
    "superresolution": functools.partial(restoration.reproduce, restoration.SUPERRESOLUTION),
    "superresolution_128": functools.partial(
        restoration.reproduce, restoration.SUPERRESOLUTION_128
    ),
    "translation_64": functools.partial(translation.reproduce, "yosemite-64"),
    "translation_128": functools.partial(translation.reproduce, "yosemite-128"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m evidence",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", choices=TABLES, help=", ".join(TABLES))
    parser.add_argument("--results", type=Path, default=RESULTS, help="where rows are kept")
    arguments = parser.parse_args()
    compilation.keep_compiled()
    print(TABLES[arguments.name](Record(arguments.name, arguments.results)))


if __name__ == "__main__":
    main()
