"""Training on labelled sequences: fine-tuning, probes, and what they are compared with."""
