"""One check of the doctor in a process of its own, and modules that stand in for others there."""

from pathlib import Path

import edge_genre
from edge_genre.service import doctor
from edge_genre.service.checks import Finding, Options

PACKAGES = str(Path(edge_genre.__file__).parents[1])


def look(name: str, subject: str = "", **values: object) -> list[Finding]:
    """One check, in a process of its own."""
    return list(doctor._in_child(name, subject, Options(**values)))  # type: ignore[arg-type]


def only(findings: list[Finding]) -> Finding:
    (found,) = findings
    return found


def pretend_engine(folder: Path, body: str, package: str = "ai_edge_litert") -> None:
    (folder / package).mkdir()
    (folder / package / "__init__.py").touch()
    (folder / package / "interpreter.py").write_text(body)
