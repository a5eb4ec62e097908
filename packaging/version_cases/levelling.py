"""What two runs of the same code never share, taken out of what they write and say."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path

_TIMES_SAID = (
    # embed: 12 records, 50,401 bases in 9.1 s
    (rb"\bin \d+\.\d s\b", b"in * s"),
    # --log-format json
    (rb'"time": "[^"]+"', b'"time": "*"'),
)
_MACHINE = (
    # doctor: what other programs leave of the memory
    (rb"\d+\.\d GB free of", b"* GB free of"),
    # Only the first run of a version compiles.
    (rb"hyenadna: compiling loops for this CPU, once: [^\n]*\n", b""),
)
# Blocks: what version 0.1.0 called chunks.
_CHUNKS = ((rb"\d[\d,]* finished (block|chunk)s?", rb"* finished \1s"),)
_TIMES_WRITTEN = (
    # --stats, and manifests without --no-version
    (rb'"(seconds|bases_per_second|alleles_per_second)": [\d.e+-]+', rb'"\1": 0'),
)


def levelled(
    name: str, data: bytes, places: Mapping[str, Path], *, is_interrupted: bool = False
) -> bytes:
    """Data of `stdout`, `stderr` or a file, without what differs from run to run.

    - where the checkout and the folder of the run lie, by the names of `places`: a prompt and
      `models info builtin` tell paths in full
    - stdout and stderr: seconds taken, the time of day in JSON lines, free memory, and the line
      about compiling, which only the first run of a version says
    - after a signal: how many blocks were finished when it came
    - JSON files: seconds and rates
    - metrics.csv: the column of seconds
    - .svg: everything, as matplotlib writes random names and the date; the table beside each
      picture has its numbers
    """
    for place, path in places.items():
        data = data.replace(str(path).encode(), place.encode())
    if name in ("stdout", "stderr"):
        return _replaced(data, (*_TIMES_SAID, *_MACHINE, *(_CHUNKS if is_interrupted else ())))
    if name.endswith(".svg"):
        return b""
    if Path(name).name == "metrics.csv":
        return _without_seconds(data)
    return _replaced(data, _TIMES_WRITTEN) if name.endswith(".json") else data


def _replaced(data: bytes, patterns: tuple[tuple[bytes, bytes], ...]) -> bytes:
    for pattern, replacement in patterns:
        data = re.sub(pattern, replacement, data)
    return data


def _without_seconds(table: bytes) -> bytes:
    rows = list(csv.reader(io.StringIO(table.decode())))
    if not rows or "seconds" not in rows[0]:
        return table
    column = rows[0].index("seconds")
    return "".join(",".join(row[:column] + row[column + 1 :]) + "\n" for row in rows).encode()
