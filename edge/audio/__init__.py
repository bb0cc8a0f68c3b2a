"""Where samples come from: files, the microphone, raw PCM; and their resampling."""
