"""What a run says while it works and when it has ended."""
