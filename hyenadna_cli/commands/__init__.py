"""One verb per file: options in, calls on core, nothing else."""
