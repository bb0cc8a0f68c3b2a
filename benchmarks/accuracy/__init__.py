"""How right a model is on labelled music, and under which conditions."""
