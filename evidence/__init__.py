"""What the claims of the documentation rest on: a module for each table, and their results.

`python -m evidence NAME`, from the root of the repository, measures a table, or prints the one
that is measured already.
"""
