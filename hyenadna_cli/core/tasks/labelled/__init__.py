"""Labelled sequences as people have them: files, labels, splits. No torch."""
