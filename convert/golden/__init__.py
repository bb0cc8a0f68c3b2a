"""Golden vectors for ports to other languages, and their check."""
