"""How much arithmetic a JAX function asks for, whatever a backend makes of it."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr
from jax.interpreters import partial_eval


def count(function: Callable, *arguments: Any) -> int:
    """FLOPs of all matrix products and convolutions in `function(*arguments)`: two for each
    multiplication and addition, zeros of dilation left out, products with a vector left out; and
    as many for the gradient of a convolution's input as for the convolution, though there are more
    places at the border that only zeros go into.

    These are PyTorch's rules. Results that are not used are not counted. Loops count as often as
    they run, which has to be known.
    """
    closed = jax.make_jaxpr(function)(*arguments)
    jaxpr, _ = partial_eval.dce_jaxpr(closed.jaxpr, [True] * len(closed.jaxpr.outvars))
    return _count(jaxpr)


def _count(jaxpr: Any) -> int:
    total = 0
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if name == "dot_general":
            total += _of_product(equation)
        elif name == "conv_general_dilated":
            total += _of_convolution(equation)
        elif name == "while":
            raise ValueError("how often a while loop runs is not known")
        else:
            inside = sum(_count(inner) for inner in _inner(equation.params.values()))
            total += inside * equation.params.get("length", 1)
    return total


def _inner(values: Iterable[Any]) -> Iterator[Any]:
    """The functions that an equation calls."""
    for value in values:
        if isinstance(value, ClosedJaxpr):
            yield value.jaxpr
        elif isinstance(value, Jaxpr):
            yield value
        elif isinstance(value, tuple | list):
            yield from _inner(value)


def _of_product(equation: Any) -> int:
    left, right = (v.aval.shape for v in equation.invars)
    (contracted, _), (batch, _) = equation.params["dimension_numbers"]
    if min(len(left), len(right)) - len(batch) < 2:
        return 0
    return 2 * math.prod(equation.outvars[0].aval.shape) * math.prod(left[i] for i in contracted)


def _of_convolution(equation: Any) -> int:
    kernel = equation.invars[1].aval.shape
    numbers = equation.params["dimension_numbers"]
    in_window = math.prod(kernel[i] for i in numbers.rhs_spec[1:])  # inputs and space
    before, after = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
    inputs, places = (
        math.prod(shape[i] for i in spec[2:])
        for shape, spec in ((before, numbers.lhs_spec), (after, numbers.out_spec))
    )
    channels = math.prod(after) // places
    places //= math.prod(equation.params["lhs_dilation"])
    if numbers.lhs_spec[0] == 0:  # or it is the gradient of a kernel, whose places are fewer
        places = min(places, inputs)
    return 2 * places * channels * in_window
