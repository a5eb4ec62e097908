"""What a model has learned, seen from outside: which bases speak of which."""
