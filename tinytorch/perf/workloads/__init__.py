"""The three events and what they run on: rules, real data, and fresh inputs to grade with.

Does not: time a model, judge an answer, rank or store anything.
"""
