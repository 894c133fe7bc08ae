"""Measurements: each stage alone, the whole, recognition errors, what an idle box costs."""
