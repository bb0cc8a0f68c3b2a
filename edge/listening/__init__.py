"""From a source of audio to what is playing: rolling windows, smoothing, events."""
