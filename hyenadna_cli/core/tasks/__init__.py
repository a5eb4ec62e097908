"""What a model is taught: labels, species, prompts; and how well it learned."""
