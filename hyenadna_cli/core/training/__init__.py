"""Weights that change: the loop, its run directory, and pretraining on genomes."""
