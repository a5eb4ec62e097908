"""How good predictions are, and what is written of it."""
