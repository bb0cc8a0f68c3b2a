"""What a model gives: which output is the answer, what it is, and what it means."""
