"""tinytorch: a machine-learning framework small enough to be read in an evening.

`core` is what students build; `perf` is what surrounds a benchmark and is not the lesson.
"""

__version__ = "0.1.0"
