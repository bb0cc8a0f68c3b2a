"""What a converted file is held against: its source on real windows, and limits."""
