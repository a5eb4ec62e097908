"""Weights on disk and back: the catalogue, three layouts, and the checks of what was loaded."""
