"""Training: recipes, the loop, learners, augmentation, fitted temperatures."""
