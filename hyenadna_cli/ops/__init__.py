"""Numerical kernels; no DNA, no files."""
