"""Slow, obvious second answers, written from the specification alone.

They share no code with `features`; where the two disagree, one of them is wrong.
"""
