"""Model files: the container, what it says of itself, its self-test, and the bundled ones."""
