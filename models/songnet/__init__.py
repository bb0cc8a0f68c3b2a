"""SongNet: a small CNN + GRU + attention network that names a song's genre from 3 s of log-mel.

Importing this package registers SongNet's layers with Keras, which is all that
`keras.models.load_model` needs to read a saved model.
"""

from edge_genre.models.songnet.architecture import songnet

__all__ = ["songnet"]
