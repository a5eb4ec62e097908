"""Run the same command lines with two checkouts of this program and compare all that comes out.

    python packaging/compare_versions.py BEFORE AFTER [--python PY] [--only NAME ...] [--keep DIR]

    inputs -> a folder per version -> case by case: exit codes, stdout, stderr, files -> one row

For a reorganisation of the code that must change nothing for users. Prints `name result detail`,
separated by tabs, and exits 1 if anything differs that is not in EXPECTED. What the cases are:
version_cases/. What two runs of the same code never share is levelled in `levelled`, and nowhere
else. Needs no more than Python itself; PY (--python) has the program's dependencies installed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from version_cases import all_cases, selected
from version_cases.base import Case
from version_cases.differences import differences, of_handover, unequal
from version_cases.inputs import write_inputs
from version_cases.runs import Outcome, Version, run_case, run_handover

_WINDOWS = "windows end where real sequence does; --max-n-run is among the settings"
_CHUNKS = "messages say chunks, and no longer blocks"

_TIMED = "--dry-run times a batch and prints estimated_seconds"

EXPECTED: dict[str, str] = {
    "help": "options stand under headings, with their defaults; --max-n-run is new",
    "no-arguments": "one whole line for each command",
    "score-stdout": _WINDOWS,
    "score-vcf-gz": _WINDOWS,
    "score-bcf": _WINDOWS,
    "score-tsv": _WINDOWS,
    "score-check-drop": _WINDOWS,
    "score-odd": _WINDOWS + "; IUPAC codes agree with the letters that they stand for",
    "score-shards": _WINDOWS,
    "mutagenize-tsv": _WINDOWS,
    "mutagenize-bedgraph": _WINDOWS,
    "resumed-embed": _CHUNKS,
    "resumed-score": _WINDOWS + "; " + _CHUNKS,
    "resumed-mutagenize": _WINDOWS + "; " + _CHUNKS,
    "embed-dry-run": _TIMED,
    "score-dry-run": _TIMED,
    "mutagenize-dry-run": _TIMED,
    "generate-dry-run": _TIMED,
    "predict-dry-run": _TIMED,
    "refused-unsorted-vcf": "the message names the first record out of order",
}
"""Name of a case -> why it differs, and should."""

_MOST_SHOWN = 3
"""Differences of a case that its row spells out."""


@dataclass(frozen=True, slots=True)
class Row:
    """What was found of one case."""

    name: str
    result: str
    """`same`, `differs` or `expected`: differs for a reason that EXPECTED gives."""
    detail: str

    def __str__(self) -> str:
        """`name result detail`, separated by tabs."""
        return "\t".join((self.name, self.result, self.detail))


def compared(case: Case, before: Version, after: Version, *, jobs: int, logs: Path | None) -> Row:
    """Run a case with both versions."""
    if case.is_handover:
        outcome = run_handover(case, before, after)
        _keep(logs, case, {"handover": outcome})
        how, problems = of_handover(case, outcome)
    else:
        with ThreadPoolExecutor(max_workers=jobs) as pool:
            old, new = pool.map(lambda version: run_case(case, version), (before, after))
        _keep(logs, case, {"before": old, "after": new})
        how, problems = "", [*differences(old, new), *unequal(case, new, "after")]
    if not problems:
        is_listed = case.name in EXPECTED
        return Row(case.name, "same", "take it off EXPECTED" if is_listed else how)
    shown = "; ".join(problems[:_MOST_SHOWN])
    if len(problems) > _MOST_SHOWN:
        shown += f"; and {len(problems) - _MOST_SHOWN} more"
    if case.name in EXPECTED:
        return Row(case.name, "expected", f"{EXPECTED[case.name]}: {shown}")
    return Row(case.name, "differs", shown)


def _keep(logs: Path | None, case: Case, outcomes: dict[str, Outcome]) -> None:
    """Write what was said to files, for --keep."""
    if logs is None:
        return
    for label, outcome in outcomes.items():
        for number, said in enumerate(outcome.said, start=1):
            stem = logs / f"{case.name}.{number}.{label}"
            stem.with_name(f"{stem.name}.stdout").write_bytes(said.stdout)
            end = f"exit code {said.exit_code}\n".encode()
            stem.with_name(f"{stem.name}.stderr").write_bytes(said.stderr + end)


def rows(options: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """Compare case by case."""
    cases = selected(options.only) if options.only else all_cases()
    versions = []
    # Names of one length: a length stands before a path in the file of a prompt.
    for label, checkout in (("old", options.before), ("new", options.after)):
        version = Version(checkout.resolve(), options.python, folder / label)
        version.folder.mkdir()
        write_inputs(version.folder, options.before / "test_data")
        version.check()
        versions.append(version)
    before, after = versions
    logs = None
    if options.keep:
        logs = folder / "logs"
        logs.mkdir()
    for case in cases:
        yield compared(case, before, after, jobs=options.jobs, logs=logs)


def parsed_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", type=Path, help="checkout whose test_data/ both read")
    parser.add_argument("after", type=Path, help="checkout that should do the same")
    parser.add_argument("--python", default=sys.executable, metavar="PY", help="default: this one")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="and the cases that these need")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="an empty folder for all outputs")
    parser.add_argument(
        "--jobs", type=int, choices=(1, 2), default=1, help="2: both versions at the same time"
    )
    options = parser.parse_args()
    for checkout in (options.before, options.after):
        if not (checkout / "hyenadna_cli").is_dir():
            parser.error(f"{checkout}: holds no hyenadna_cli")
    if options.keep and options.keep.exists() and any(options.keep.iterdir()):
        parser.error(f"--keep {options.keep}: is not empty")
    python = shutil.which(options.python)
    if python is None:
        parser.error(f"--python {options.python}: no such program")
    # Not resolved: the Python of a virtual environment is a link.
    options.python = str(Path(python).absolute())
    try:
        selected(options.only or [])
    except ValueError as error:
        parser.error(str(error))
    return options


def main() -> int:
    """Print a row for each case; 1 if anything differs that should not."""
    options, started, results = parsed_options(), time.monotonic(), Counter[str]()
    with ExitStack() as stack:
        if options.keep:
            options.keep.mkdir(parents=True, exist_ok=True)
            folder = options.keep
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for row in rows(options, folder.resolve()):
            results[row.result] += 1
            print(row, flush=True)
    counts = ", ".join(f"{count} {result}" for result, count in results.items())
    minutes = (time.monotonic() - started) / 60
    print(f"{results.total()} cases in {minutes:.1f} minutes: {counts}", file=sys.stderr)
    return 1 if results["differs"] else 0


if __name__ == "__main__":
    sys.exit(main())
