"""Variants: their windows, their scores, and every variant of a region."""
