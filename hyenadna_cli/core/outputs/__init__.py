"""Files that appear whole or not at all, can be resumed, and say what made them."""
