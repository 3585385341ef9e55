"""Has training become slow? One workload against a large convolution, in one run.

    python -m benchmarks.quick

Training DCGAN at 32 pixels reaches 0.6 of the FLOP/s of one large convolution measured beside it.
Exits with status 1 below a generous bound, which a slowdown of 2× does not pass.
"""

import sys

from benchmarks import jax_side
from benchmarks.workloads import WORKLOADS

BOUND = 0.35


def main() -> None:
    workload = WORKLOADS["dcgan32"]
    training = jax_side.WorkloadTraining(workload)
    flops, shares = training.flops(), []
    for _ in range(3):
        rate = jax_side.rates()["convolution"]
        shares.append(flops * workload.iterations / training.run(workload.iterations) / rate)
    best = max(shares)
    print(f"{workload.name}: {best:.2f} of the FLOP/s of a large convolution (bound {BOUND})")
    sys.exit(best < BOUND)


if __name__ == "__main__":
    main()
