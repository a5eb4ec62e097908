"""Break runs of the real commands in every way this machine allows, and count what is left.

    python workflows/faults/fault_table.py --kills 20 --rows rows.jsonl > docs/fault-table.md

After each fault an output must be absent or whole (byte-equal to that of an undisturbed run), the
exit code the documented one, and the same command with `--resume` must end in the same bytes; for
trainings these are all files of the run directory, checkpoints included. Exits 1 if anything else
was found. Data and tiny models are made on the spot. With `--rows` what is done is kept in that
file, and the same command goes on where it was stopped; rows with problems are tried again.
"""

from __future__ import annotations

import argparse
import functools
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import interruptions
import surroundings
import torch
from bench import Bench
from row import Row

Group = tuple[str, Callable[[], Iterable[Row]]]


def groups(bench: Bench, kills: int) -> Iterator[Group]:
    """The whole table in pieces: a name, and what makes its rows."""
    few = max(2, kills // 4)
    resumable = [*bench.records, *bench.maps, bench.generate, *bench.trainings]
    for number, count in ((signal.SIGKILL, kills), (signal.SIGTERM, few)):
        for case in resumable:
            make = functools.partial(interruptions.interrupted, bench, case, count, number)
            yield f"{number.name} {case.name}", _one(make)
    yield "merges", functools.partial(interruptions.merges, bench, few)
    for case in resumable:
        yield f"two runs {case.name}", _one(functools.partial(surroundings.two_runs, bench, case))
    for case in resumable:
        full = functools.partial(surroundings.file_system, bench, case, "size=256k", old=True)
        yield f"disk full {case.name}", _one(functools.partial(full, "disk full"))
        fixed = functools.partial(surroundings.file_system, bench, case, "ro,size=256k", old=False)
        yield f"read-only {case.name}", _one(functools.partial(fixed, "read-only file system"))
    texts = [case for case in bench.records if not case.output.endswith((".h5", ".h5ad", ".bcf"))]
    seen = set()
    for case in (*texts, bench.generate):
        if case.name.split(" (")[0] not in seen:
            seen.add(case.name.split(" (")[0])
            yield f"streams {case.name}", functools.partial(surroundings.streams, bench, case)
    yield "truncated", functools.partial(surroundings.truncated_inputs, bench)
    for name in ("embed (.tsv)", "score-variants (.tsv)"):
        case = bench.case(name)
        yield f"environments {name}", functools.partial(surroundings.environments, bench, case)
    for case in bench.records:
        make = functools.partial(surroundings.empty_input, bench, case)
        yield f"empty {case.name}", _one(make)


def _one(make: Callable[[], Row]) -> Callable[[], Iterable[Row]]:
    return lambda: [make()]


def done_before(path: Path | None, conditions: str) -> dict[str, list[Row]]:
    """Rows without problems by group, of an earlier start under the same conditions."""
    if path is None or not path.exists():
        return {}
    found = {}
    for line in path.read_text().splitlines():
        entries = json.loads(line)
        rows = [Row.from_json(row) for row in entries["rows"]]
        if entries["conditions"] == conditions and not any(row.problems for row in rows):
            found[entries["group"]] = rows
    return found


def main() -> int:
    """Print the table; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="per command")
    parser.add_argument("--records", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rows", type=Path, help="what is done; the same command goes on")
    parser.add_argument("--only", default="", help="groups whose name has this text")
    options = parser.parse_args()
    torch.set_num_threads(1)
    conditions = f"--kills {options.kills} --records {options.records} --seed {options.seed}"
    finished = done_before(options.rows, conditions)
    n_runs = n_bad = 0
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), n_records=options.records, seed=options.seed)
        print(f"# Faults\n\nMade by `python workflows/faults/fault_table.py {conditions}`:")
        print(f"{options.records:,} records, tiny models. Negative exit codes are signals.\n")
        print("| fault | command | runs | exit codes | left | verdict |\n|---|---|---|---|---|---|")
        for group, make in groups(bench, options.kills):
            if options.only not in group:
                continue
            rows = finished.get(group)
            if rows is None:
                rows = list(make())
                if options.rows is not None:
                    entries = {
                        "group": group,
                        "conditions": conditions,
                        "rows": [row.as_json() for row in rows],
                    }
                    with options.rows.open("a") as file:
                        file.write(json.dumps(entries) + "\n")
            for row in rows:
                print(row.text(), flush=True)
                n_runs += row.runs
                n_bad += len(row.problems)
    print(f"\n{n_runs:,} runs, {n_bad} problems.")
    return 1 if n_bad else 0


if __name__ == "__main__":
    sys.exit(main())
