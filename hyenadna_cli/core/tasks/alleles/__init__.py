"""Scores of alleles, learned from labels."""
