"""What the paper's experiments have in common."""
