"""What passes between two processes, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self, get_type_hints


@dataclass(frozen=True)
class Record:
    """A dataclass of numbers, texts, tuples, dictionaries and other records."""

    def to_dict(self) -> dict[str, Any]:
        """Return the values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The reverse of `asdict`; an unknown or a missing key is a ``TypeError``."""
        kinds = get_type_hints(cls)
        return cls(**{key: _restored(kinds.get(key), value) for key, value in values.items()})


def _restored(kind: Any, value: Any) -> Any:
    """A value as it was before JSON made lists of tuples and dictionaries of records."""
    if isinstance(kind, type) and issubclass(kind, Record):
        return kind.from_dict(value)
    return _tuples(value)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
