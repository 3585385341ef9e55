"""What is found in a package, and in which order."""

from types import SimpleNamespace

import pytest

from gan_jax.discovery import discover, modules

KIND = "from types import SimpleNamespace as Kind\n"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with these files, by their names."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(name, **files):
        (tmp_path / name).mkdir()
        for file, text in {"__init__": "", **files}.items():
            (tmp_path / name / f"{file}.py").write_text(text)
        return name

    return make


def test_instances_are_found_in_the_order_of_their_places(package):
    name = package(
        "kinds_in_order",
        a=KIND + "LAST = Kind(name='last', place=9)\nNUMBER = 3\n",
        b=KIND + "SECOND = Kind(name='b', place=1)\nFIRST = Kind(name='a', place=1)\n",
        c="from kinds_in_order.a import LAST\n",  # the same one, and no second
    )
    assert [module.__name__ for module in modules(name)] == [f"{name}.{m}" for m in "abc"]
    found = discover(name, SimpleNamespace)
    assert list(found) == ["a", "b", "last"]
    assert found["last"].place == 9


def test_two_of_one_name_are_refused(package):
    same = KIND + "ONE = Kind(name='one', place=1)\n"
    name = package("kinds_twice", a=same, b=same.replace("place=1", "place=2"))
    with pytest.raises(ValueError, match="there are two of SimpleNamespace 'one'"):
        discover(name, SimpleNamespace)
