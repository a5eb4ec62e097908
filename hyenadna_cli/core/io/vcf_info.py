"""INFO entries of a VCF as columns, one value for each allele."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from hyenadna_cli.core.io.vcf import VcfHeader, VcfRecord
from hyenadna_cli.errors import InputFileError

_NUMBER = re.compile(r"[<,]\s*Number=([^,>]+)")
MISSING = "."


class InfoColumns:
    """The values of some INFO keys: of an allele where the header says Number=A or R, else whole.

    A flag is "1" where it is set; what is not there is ".". Raises InputFileError for keys that the
    header does not declare as INFO.
    """

    def __init__(self, path: Path | str, header: VcfHeader, keys: Sequence[str]) -> None:
        self._keys = tuple(keys)
        declared = header.declared("INFO")
        for key in keys:
            if key in declared:
                continue
            if key in header.declared("FORMAT"):
                raise InputFileError(
                    path,
                    f"{key} is a FORMAT field, one value for each sample; --info takes INFO, one "
                    "value for each record or allele",
                )
            known = ", ".join(sorted(declared)[:10]) or "none at all"
            raise InputFileError(path, f"declares no INFO {key} (--info); it has {known}")
        self._number = {
            key: match[1]
            for line in header.meta
            for key in keys
            if line.startswith(f"##INFO=<ID={key},") and (match := _NUMBER.search(line))
        }

    def of(self, record: VcfRecord) -> list[tuple[str, ...]]:
        """The values of each allele, in the order of the keys; of one where there is no ALT."""
        entries = {}
        for entry in record.columns[7].split(";"):
            key, equals, value = entry.partition("=")
            entries[key] = value if equals else "1"
        return [
            tuple(self._value(key, entries.get(key, MISSING), number) for key in self._keys)
            for number in range(max(1, len(record.alts)))
        ]

    def _value(self, key: str, text: str, number: int) -> str:
        first = {"A": 0, "R": 1}.get(self._number.get(key, "1"))
        if first is None:
            return text
        values = text.split(",")
        return values[first + number] if first + number < len(values) else MISSING
