"""What `flax.struct.PyTreeNode` promises, and that a structure tells its class."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest
from flax import struct

from gan_jax import Node


class Scaled(Node):
    factor: float
    inner: Node | None = None
    shape: str = struct.field(pytree_node=False, default="round")

    def __call__(self, x):
        return self.factor * x


class Shifted(Scaled):
    def __call__(self, x):
        return self.factor + x


class Checked(Node):
    number: float

    def __post_init__(self):
        if self.number < 0:
            raise ValueError("negative")


def test_it_is_a_frozen_dataclass():
    node = Scaled(2.0)
    assert node == Scaled(factor=2.0, inner=None, shape="round") != Scaled(3.0)
    assert node.replace(factor=3.0) == Scaled(3.0)
    assert repr(node) == "Scaled(factor=2.0, inner=None, shape='round')"
    with pytest.raises(dataclasses.FrozenInstanceError):
        node.factor = 3.0
    with pytest.raises(ValueError, match="negative"):
        Checked(-1.0)


def test_fields_are_children_but_for_the_static():
    node = Scaled(2.0, Shifted(3.0, shape="flat"))
    assert jax.tree.leaves(node) == [2.0, 3.0]
    assert jax.tree.map(lambda x: x + 1, node) == Scaled(3.0, Shifted(4.0, shape="flat"))
    paths, _ = jax.tree.flatten_with_path(node)
    assert [jax.tree_util.keystr(path) for path, _ in paths] == [".factor", ".inner.factor"]


def test_children_may_be_anything_within_a_tree():
    structure = jax.tree.structure(Checked(1.0))
    assert jax.tree.unflatten(structure, ["name"]).number == "name"


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: (x, 1), lambda x: Scaled(1.0, x)])
def test_a_structure_tells_its_class_and_what_is_static(wrap):
    one = jax.tree.structure(wrap(Scaled(1.0)))
    assert one == jax.tree.structure(wrap(Scaled(2.0)))
    assert one != jax.tree.structure(wrap(Shifted(1.0)))
    assert one != jax.tree.structure(wrap(Scaled(1.0, shape="flat")))


def test_what_stands_in_another_s_place_is_a_node():
    """Of flax's pytrees, those stay that are nothing else's alternative."""
    import gan_jax.cli.main
    import gan_jax.tasks  # noqa: F401

    def below(cls):
        return {cls.__name__ for cls in cls.__subclasses__() if cls.__module__[:7] == "gan_jax"}

    assert below(struct.PyTreeNode) <= {"TrainState", "Reference", "Components"}
    assert {"Penalty", "Sampled", "Controllable", "Schedule"} <= below(Node)


def test_transformations():
    def loss(node, x):
        return jnp.sum(node(x) ** 2)

    x = jnp.arange(3.0)
    assert jax.grad(loss)(Scaled(2.0), x).factor == pytest.approx(20.0)
    nodes = jax.tree.map(lambda *v: jnp.stack(v), Scaled(1.0), Scaled(2.0))
    assert jax.vmap(loss, (0, None))(nodes, x).tolist() == [5.0, 20.0]
