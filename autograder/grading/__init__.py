"""Grades one notebook safely: rebuilt from the release, screened, jailed, judged by checks it cannot change.

`rebuild` makes the notebook that is graded, `screen` reads the student's cells, `worker` runs them behind walls,
`judge` starts it and believes only what it signs, `preprocessors` are what nbgrader calls. What is protected and
what is not: docs/teachers.md. Does not: collect, store grades or write feedback.
"""
