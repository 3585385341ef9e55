"""What the claims of the README rest on: one module for each table, run by `reproduce.py`."""
