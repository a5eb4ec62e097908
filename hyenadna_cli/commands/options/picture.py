"""Where a picture goes, and the table beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from hyenadna_cli.commands.options.output import ForceOption
from hyenadna_cli.errors import UsageError

PAGE = ".html"


def named_tables(items: Sequence[str]) -> list[tuple[str, Path]]:
    """`NAME=TABLE` as name and path; a table without a name has that of its file.

    Raises UsageError for a table without a name, or an empty one, where that of its file is taken.
    """
    named: list[tuple[str, Path]] = []
    for item in items:
        name, equals, path = item.rpartition("=")
        if not name:
            name = Path(path).name.partition(".")[0]
            if equals or not name or name in [known for known, _ in named]:
                raise UsageError(f"{item}: use NAME=TABLE, such as k-mers={path}")
        named.append((name, Path(path)))
    return named


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """The picture that is drawn; the points that it shows go beside it."""

    HEADING: ClassVar[str] = "Output"
    PAGES: ClassVar[tuple[str, ...]] = ()
    """What it may be called besides."""

    output: Annotated[
        Path, typer.Option("-o", "--output", help="Picture: .png, .svg or .pdf; a .tsv beside it.")
    ]
    force: ForceOption = False

    @property
    def table(self) -> Path:
        """The table of its points."""
        return self.output.with_suffix(".tsv")

    def check(self, *shown: str | Path) -> None:
        """Refuse what cannot be drawn or would replace a table that is shown.

        Raises UsageError and OutputError.
        """
        from hyenadna_cli.core.outputs import atomic
        from hyenadna_cli.core.outputs.figures import PICTURES

        suffixes = (*PICTURES, *self.PAGES)
        if self.output.suffix.lower() not in suffixes:
            raise UsageError(f"-o {self.output}: use {', '.join(suffixes)}")
        for table in shown:
            if self.table.resolve() == Path(table).resolve():
                raise UsageError(
                    f"-o {self.output}: the table beside it would replace {table}; use another name"
                )
        for path in (self.output, self.table):
            atomic.check_output(path, overwrite=self.force)


@dataclass(frozen=True, kw_only=True, slots=True)
class Page(Picture):
    """A picture, or a page on which points tell what they are."""

    PAGES: ClassVar[tuple[str, ...]] = (PAGE,)

    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="Picture or page: .png, .svg, .pdf or .html."),
    ]
