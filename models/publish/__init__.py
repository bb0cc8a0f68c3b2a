"""From a trained network to files with a card: export, figures, ablation."""
