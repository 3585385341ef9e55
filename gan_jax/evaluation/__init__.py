"""Scores of generators against real examples, each with what it depends on.

- `evaluator.Evaluator` measures them; what is generated is described by a `subject.Subject`.
- `metric` is what a metric is made of; every file of `scores/` defines one.
- `extractors/` turn images into the features that metrics compare, a file each.
- `best` says which checkpoint is the best so far.
"""
