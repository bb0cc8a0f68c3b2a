"""The model files that come with the package; data alone."""
