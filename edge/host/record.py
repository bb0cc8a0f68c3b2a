"""Records: what crosses a process or a file, as frozen dataclasses that are JSON outside."""

from __future__ import annotations

import functools
import math
import types
import typing
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Self

Values = dict[str, Any]
OMITTED = "omitted"


class Record:
    """Base of frozen dataclasses whose fields are numbers, texts, None, sequences, dictionaries
    by text, and other records, or what has ``to_dict`` and ``from_dict`` of its own.

    A field is called the same in JSON, unless its metadata has another ``key``. One with the
    metadata `OMITTED` is left out of JSON where it has its default.
    """

    def to_dict(self) -> Values:
        """Return the values, ready for JSON."""
        assert is_dataclass(self)
        values = ((field, getattr(self, field.name)) for field in fields(self))
        return {
            _key(field): _plain(value)
            for field, value in values
            if not (OMITTED in field.metadata and value == field.default)
        }

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """Make a record of what `to_dict` gave, or what JSON made of that.

        Keys that it does not know are left out: a later version may have written them. A field that
        is missing has its default.

        Raises
        ------
        ValueError
            A value is missing that has no default, or is of another type than its field.
        """
        assert is_dataclass(cls)
        if not isinstance(values, dict):
            raise ValueError(f"expected {cls.__name__}, found {type(values).__name__}")
        found = {}
        for field, kind in zip(fields(cls), _kinds(cls), strict=True):
            key = _key(field)
            if key in values:
                found[field.name] = _typed(kind, values[key], key)
            elif field.default is MISSING:
                raise ValueError(f"{key} is missing")
        return typing.cast("Self", cls(**found))


def _key(field: Any) -> str:
    return str(field.metadata.get("key", field.name))


@functools.cache
def _kinds(cls: type) -> list[Any]:
    hints = typing.get_type_hints(cls)
    return [hints[field.name] for field in fields(cls)]


def _plain(value: Any) -> Any:
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return value


def _typed(kind: Any, value: Any, where: str) -> Any:
    """A value as its field's type has it."""
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin in (types.UnionType, typing.Union):  # of None, records and simple types
        if value is None and types.NoneType in inside:
            return None
        *others, last = (each for each in inside if each is not types.NoneType)
        kind = next((each for each in others if _matches(each, value)), last)
        return _typed(kind, value, where)
    if hasattr(kind, "from_dict"):
        return kind.from_dict(value)
    if origin is tuple and isinstance(value, (list, tuple)):
        kinds = [inside[0]] * len(value) if inside[-1] is ... else inside
        if len(kinds) == len(value):
            return tuple(_typed(each, item, where) for each, item in zip(kinds, value, strict=True))
    if origin is dict and isinstance(value, dict):
        return {str(key): _typed(inside[1], each, where) for key, each in value.items()}
    if origin is None and _fits(kind, value):
        return value
    raise ValueError(f"{where} is {value!r:.60}, expected {getattr(kind, '__name__', kind)}")


def _matches(kind: type, value: Any) -> bool:
    """Whether a value can be of a type; of a record, whether it has the keys."""
    if issubclass(kind, Record):
        assert is_dataclass(kind)
        needed = {_key(field) for field in fields(kind) if field.default is MISSING}
        return isinstance(value, dict) and needed <= value.keys()
    return _fits(kind, value)


def _fits(kind: type, value: Any) -> bool:
    if isinstance(value, bool) or kind not in (int, float):
        return isinstance(value, kind)
    # An integer is a float like others; NaN and infinity are no figures.
    return isinstance(value, (int, kind)) and math.isfinite(value)
