"""The kinds of features, each a module of this folder that is loaded when its name is first asked.

A module has `KIND`, a subclass of `FrontEndSpec` whose ``kind`` is the module's name, and may have
`PRESETS`, specs of that kind by name. Nothing else lists the kinds.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from edge_genre.errors import SpecError

if TYPE_CHECKING:
    from edge_genre.frontend.spec import FrontEndSpec


def named(name: object) -> type[FrontEndSpec]:
    """The kind of a name.

    Raises
    ------
    SpecError
        There is none; the message lists them.
    """
    # A name may come from a file that somebody else made: it is no path.
    if not isinstance(name, str) or not name.isidentifier() or name.startswith("_"):
        raise _unknown(name)
    module = f"{__name__}.{name}"
    try:
        kind: type[FrontEndSpec] = import_module(module).KIND
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise _unknown(name) from None
    return kind


def names() -> tuple[str, ...]:
    """The names of all kinds, in alphabetical order."""
    import pkgutil  # only for listings and messages

    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


@lru_cache(maxsize=1)
def presets() -> dict[str, FrontEndSpec]:
    """Specs that have a name, of all kinds."""
    found: dict[str, Any] = {}
    for name in names():
        found |= getattr(import_module(f"{__name__}.{name}"), "PRESETS", {})
    return found


def _unknown(name: object) -> SpecError:
    return SpecError(f"front-end spec: kind is {name!r}, expected one of {names()}")
