"""Checks annotations at run time as type checkers read them: a float may be an int."""

from beartype import BeartypeConf, beartype

typechecked = beartype(conf=BeartypeConf(is_pep484_tower=True))
