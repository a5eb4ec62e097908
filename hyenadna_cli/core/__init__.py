"""The work: sequences, the model, and where they meet. No command line."""
