"""Python files that users hand over: network architectures and layers of their own.

They are run, as any program of the user's: whoever names a file on the command line trusts it.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from edge_genre.errors import ConversionError, one_line


def run_file(path: str | Path) -> ModuleType:
    """Import a Python file under a name of its own; it may import what lies beside it.

    Raises
    ------
    ConversionError
        It is missing or fails.
    """
    path = Path(path).absolute()
    if not path.is_file():
        raise ConversionError(f"{path}: no such Python file")
    name = f"edge_genre_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConversionError(f"{path}: is no Python file (.py)")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look a class's module up
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's code raises
        raise ConversionError(
            f"{path}: fails with {type(error).__name__}: {one_line(error, 300)}"
        ) from error
    finally:
        sys.path.remove(str(path.parent))
    return module


def classes(module: ModuleType, base: type) -> dict[str, type]:
    """The classes of a kind that a module defines itself, by their names."""
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, base)
        and value.__module__ == module.__name__
    }
