"""What this machine has, what is used of it, and how fast that is."""
