"""Which species a sequence is from: windows of many genomes, a classifier, its accuracy."""
