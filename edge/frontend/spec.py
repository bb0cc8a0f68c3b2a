"""What a model was trained on, to the last number: the front-end specification."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_genre.errors import SpecError
from edge_genre.frontend import kinds

if TYPE_CHECKING:
    from edge_genre.frontend.computation import Computation
    from edge_genre.frontend.graph import Value, Writer
    from edge_genre.frontend.in_c import InC

# Of single precision: the least number with all digits, and the greatest.
SMALLEST, _GREATEST = 2.0**-126, (2 - 2.0**-23) * 2.0**127
_LARGEST = 2**31 - 1  # whole number: what is longer fits into no array


@dataclass(frozen=True, kw_only=True)
class FrontEndSpec:
    """Every number that a model's features depend on.

    ``FrontEndSpec(kind="mfcc", n_mfcc=13)`` gives an object of that kind's class, which has fields
    of its own: see ``docs/reference/front-ends.md``, and `edge_genre.frontend.kinds` for where they
    are. The fields here are those of all kinds.

    Parameters
    ----------
    kind : what to compute; the name of a module of `edge_genre.frontend.kinds`
    sample_rate : Hz; audio at another rate is resampled to it
    window_seconds : length of one classified window

    Raises
    ------
    SpecError
        The kind is unknown, or has no such field, or a value is impossible; the message names it.
    """

    kind: str = "log_mel"
    sample_rate: int = 22_050
    window_seconds: float = 3.0

    if TYPE_CHECKING:  # the fields of a kind are known to its class alone

        def __init__(self, **values: Any) -> None: ...

        def __getattr__(self, name: str) -> Any: ...

    def __new__(cls, **values: Any) -> FrontEndSpec:
        kind = kinds.named(values.get("kind", cls.kind)) if cls is FrontEndSpec else cls
        known = kind.__dataclass_fields__
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise SpecError(
                f"front-end spec: unknown key {unknown[0]!r}; {kind.kind} has {', '.join(known)}"
            )
        return object.__new__(kind)

    def __post_init__(self) -> None:
        self.check()
        require(
            self.window_samples >= self.shortest,
            "window_seconds",
            self.window_seconds,
            f"long enough for one frame of {self.shortest} samples",
        )

    def check(self) -> None:
        """Refuse impossible values. A kind checks those of its bases first, by ``super()``.

        Raises
        ------
        SpecError
            With the field, its value, and what was expected.
        """
        kind = type(self).kind
        require(self.kind == kind, "kind", self.kind, repr(kind))
        self.whole("sample_rate")
        self.number("window_seconds")
        longest = self.window_seconds <= 600
        require(longest, "window_seconds", self.window_seconds, "600 s at most")

    def whole(self, *keys: str) -> None:
        """Refuse fields that are no positive whole numbers."""
        for key in keys:
            value = getattr(self, key)
            whole = isinstance(value, int) and not isinstance(value, bool)
            require(whole and 0 < value <= _LARGEST, key, value, "a positive whole number")

    def number(self, *keys: str) -> None:
        """Refuse fields that are no finite numbers, and make them floats.

        3 and 3.0 mean the same and must hash the same.
        """
        for key in keys:
            object.__setattr__(self, key, finite(key, getattr(self, key)))

    def choice(self, key: str, *choices: object) -> None:
        """Refuse a field that is none of some values."""
        value = getattr(self, key)
        require(value in choices, key, value, f"one of {choices}")

    @property
    def window_samples(self) -> int:
        """Samples in one window."""
        return round(self.window_seconds * self.sample_rate)

    @property
    def shortest(self) -> int:
        """Samples that a window has at least."""
        return 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one window's features."""
        raise NotImplementedError

    @property
    def description(self) -> str:
        """What the features are, in a few words, as the description of a model has them."""
        return self.kind

    @property
    def is_samples(self) -> bool:
        """Whether the features are the window's samples: the model has its front end inside."""
        return False

    @property
    def made_of_levels(self) -> bool:
        """Whether a frame's row is the levels of mel bands, and all else is made of those.

        Training changes such levels, as a room or a coder would: see `MelSpectrogram.decibels`.
        """
        return False

    def computation(self, dtype: type[Any]) -> Computation:
        """What computes the features, in a precision of NumPy; for one stream, in one thread."""
        raise NotImplementedError

    @property
    def no_graph(self) -> str | None:
        """Why this front end cannot be a part of a graph; None if it can."""
        return "nobody has written it as one"

    def graph(self, writer: Writer, samples: Value) -> Value:
        """Add the front end to a graph, unless `no_graph` has a reason not to.

        Parameters
        ----------
        writer : of the graph
        samples : [shape=(1, window_samples)]

        Returns
        -------
        Features [shape=self.shape]
        """
        raise NotImplementedError

    @property
    def no_c(self) -> str | None:
        """What ``firmware_notes/c`` does instead of computing this; None if it computes it."""
        return f"computes log-mel and MFCC, not {self.kind}"

    def in_c(self) -> InC:
        """The numbers that the front end in C depends on, unless `no_c` has a reason not to."""
        raise NotImplementedError

    @property
    def format_version(self) -> int:
        """Of the model file that can hold this spec: 1 if edge-genre 0.1.0 reads it, or 2."""
        return 1 + any(self._is_later(field) for field in dataclasses.fields(self))

    def _is_later(self, field: dataclasses.Field[Any]) -> bool:
        """Whether a field came after 0.1.0 and says something here."""
        return "later" in field.metadata and getattr(self, field.name) != field.default

    @property
    def hash(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the canonical JSON text."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def replace(self, **changes: Any) -> FrontEndSpec:
        """Return a copy with some values changed. Another kind keeps the fields that both have."""
        kind = kinds.named(changes["kind"]) if "kind" in changes else type(self)
        kept = {key: value for key, value in vars(self).items() if key in kind.__dataclass_fields__}
        return kind(**kept | changes)

    def to_dict(self) -> dict[str, Any]:
        """Return the values, ready for JSON.

        A field that came after 0.1.0 is left out where it has its default, so that the JSON and the
        hash of a spec stay what they were.
        """
        return {
            field.name: _listed(getattr(self, field.name))
            for field in dataclasses.fields(self)
            if "later" not in field.metadata or self._is_later(field)
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FrontEndSpec:
        """Build a spec from JSON values; keys that are missing take their defaults.

        Raises
        ------
        SpecError
            A key is unknown, or a value impossible.
        """
        if not isinstance(values, Mapping):
            raise SpecError(f"front-end spec: expected a JSON object, found {values!r}")
        return FrontEndSpec(**values)

    @classmethod
    def preset(cls, name: str) -> FrontEndSpec:
        """Return a preset by its name.

        Raises
        ------
        SpecError
            There is no preset of that name; the message lists them.
        """
        presets = kinds.presets()
        try:
            return presets[name]
        except KeyError:
            known = ", ".join(sorted(presets))
            raise SpecError(f"front-end preset {name!r} is unknown; there are {known}") from None


def later(default: Any) -> Any:
    """A field that edge-genre 0.1.0 did not know, and its default, which computes as it did."""
    return dataclasses.field(default=default, metadata={"later": True})


def require(holds: bool, key: str, value: object, expected: str) -> None:
    """Raise `SpecError`, with a field and what was expected of it, unless something holds."""
    if not holds:
        raise SpecError(f"front-end spec: {key} is {value!r}, expected {expected}")


def finite(key: str, value: object) -> float:
    """A value as a finite number; `SpecError` if it is none."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    require(number and abs(value) <= sys.float_info.max, key, value, "a finite number")  # type: ignore[arg-type]
    return float(value)  # type: ignore[arg-type]


def single(key: str, value: object) -> float:
    """A value as a finite number in single precision, which features have."""
    number = finite(key, value)
    require(abs(number) <= _GREATEST, key, value, f"a number up to {_GREATEST:.1e}")
    return number


def _listed(value: Any) -> Any:
    """A value as JSON has it: tuples are lists."""
    return [_listed(each) for each in value] if isinstance(value, tuple) else value
