"""What surrounds a benchmark and is not the lesson: records, data, the machine, checks, a store, boards.

The lesson itself is the notebook, exported to `core.benchmarking`, which nothing here imports.
"""
