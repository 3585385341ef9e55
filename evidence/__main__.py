"""Measures again what the README claims.

    python experiments/reproduce.py ring

NAME is one of the tables below. What is measured is written to `experiments/results/NAME.json` row
by row, with the command, commit, versions, hardware, seeds and every score; rows that are there are
not measured again, so the same command goes on after an interruption. Delete the file, or give
another `--results`, to begin anew. At the end the table is printed in Markdown. Tables of MNIST and
CIFAR-10 need them prepared by TFDS, in $TFDS_DATA_DIR; their runs are kept in `runs/evidence`.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from evidence import little_data, mixtures, pictures, stacked_mnist, sweeps, transfer
from evidence.record import RESULTS, Record

from gan_jax import compilation

TABLES: dict[str, Callable[[Record], str]] = {
    "ring": lambda record: mixtures.reproduce("ring", record),
    "grid": lambda record: mixtures.reproduce("grid", record),
    "losses": mixtures.reproduce_losses,
    "stacked_mnist": stacked_mnist.reproduce,
    "mnist": lambda record: pictures.reproduce_recipes("mnist", record),
    "cifar10": lambda record: pictures.reproduce_recipes("cifar10", record),
    "little_data": little_data.reproduce,
    "transfer": transfer.reproduce,
    "sweep": sweeps.reproduce,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", metavar="NAME", choices=TABLES, help=", ".join(TABLES))
    parser.add_argument("--results", type=Path, default=RESULTS, help="where rows are kept")
    arguments = parser.parse_args()
    compilation.keep_compiled()
    print(TABLES[arguments.name](Record(arguments.name, arguments.results)))


if __name__ == "__main__":
    main()
