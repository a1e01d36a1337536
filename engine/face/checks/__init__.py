"""Measures of a head's shapes: lips, lids, folds, teeth, mirror images. NumPy only; `scripts/measure_head.py` prints them."""
