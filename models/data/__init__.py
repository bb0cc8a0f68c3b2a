"""Music to train and to measure on: corpora, folders of audio, splits by artist."""
