"""One line of the fault table."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Row:
    """A fault, a command, and what became of the runs."""

    fault: str
    command: str
    runs: int = 0
    left: Counter[str] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    note: str = ""

    def text(self) -> str:
        """As Markdown."""
        codes = ", ".join(f"{code} x {n}" for code, n in sorted(self.codes.items()))
        left = ", ".join(f"{n} {what}" for what, n in sorted(self.left.items()))
        verdict = "; ".join(self.problems) if self.problems else (self.note or "ok")
        cells = (self.fault, self.command, str(self.runs), codes, left, verdict)
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    def as_json(self) -> dict[str, Any]:
        """For a file of rows that are done."""
        return {**vars(self), "left": dict(self.left), "codes": dict(self.codes)}

    @classmethod
    def from_json(cls, entries: dict[str, Any]) -> Row:
        """What `as_json` gave, after JSON made the exit codes texts."""
        codes = Counter({int(code): n for code, n in entries["codes"].items()})
        return cls(**{**entries, "codes": codes, "left": Counter(entries["left"])})
