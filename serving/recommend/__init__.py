"""Recommendations: candidates from the stores, ranked by rules or by a model, each with a reason.

The ranking is pure; `recommender` asks the stores through the ports in `ports`.
"""
