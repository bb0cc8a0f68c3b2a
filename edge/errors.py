"""The errors that users can meet.

Every message is one line and says what was found, what was expected and what to do. The command
line prints it without a traceback and exits with the class's ``exit_code``.
"""


class EdgeGenreError(Exception):
    """Base of every error that edge-genre raises on purpose."""

    exit_code = 1


class SpecError(EdgeGenreError, ValueError):
    """A front-end specification has an unknown key or an impossible value."""


class ModelError(EdgeGenreError):
    """A model file cannot be used: missing, damaged, of another kind, or inconsistent."""


class SelfTestError(ModelError):
    """A model loads, but does not give the probabilities that it was saved with."""


class EngineError(EdgeGenreError):
    """No inference engine for this kind of model is installed, or it failed."""


class AudioError(EdgeGenreError):
    """Audio cannot be used: missing, empty, not audio, damaged, or with NaN or infinity in it."""


class DeviceError(EdgeGenreError):
    """No microphone, an unknown one, or PortAudio is not installed."""


class DataError(EdgeGenreError):
    """Labelled music cannot be used: missing, damaged, or not of the model's genres."""


class ConversionError(EdgeGenreError):
    """A model cannot be converted to the format asked for."""


class GateError(EdgeGenreError):
    """A parity, accuracy or benchmark gate failed."""

    exit_code = 3


def one_line(what: object, limit: int | None = None) -> str:
    """A message in one line, such as that of another library's error.

    Parameters
    ----------
    what : an error or a text; an error without a message gives the name of its class
    limit : most characters, the last three of which are dots where something is left out
    """
    text = " ".join(str(what).split()) or type(what).__name__
    return text if limit is None or len(text) <= limit else f"{text[: limit - 3]}..."
