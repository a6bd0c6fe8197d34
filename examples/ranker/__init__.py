"""A model that ranks: trained on a training set of ours, logged with MLflow, served as a file.

`python -m examples.ranker` does all of it against the home that is set.
"""
