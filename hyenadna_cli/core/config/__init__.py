"""Settings: what can be set of models, heads and trainings, how it is spelt, and its checks."""
