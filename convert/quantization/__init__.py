"""What both formats' quantizers share: rounding, and layers that stay in float."""
