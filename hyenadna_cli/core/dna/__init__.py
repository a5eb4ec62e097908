"""Places on a genome, DNA strings, windows and tokens: what everything else speaks of."""
