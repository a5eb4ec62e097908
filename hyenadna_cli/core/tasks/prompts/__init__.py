"""Prompts, soft or of demonstrations, and passes that share a prefix."""
