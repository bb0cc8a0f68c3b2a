"""Network architectures, and nothing else; each module needs its own framework."""
