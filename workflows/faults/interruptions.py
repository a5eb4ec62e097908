"""Runs that are killed or stopped at random moments, and go on with --resume."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import Bench, Case, comparable, contents, ended, results
from row import Row

_ATTEMPTS = 50
"""Interruptions in a row of one output, at most."""


def interrupted(bench: Bench, case: Case, n: int, number: signal.Signals) -> Row:
    """Interrupt runs at random moments; go on with --resume until each output is there."""
    expected = -int(number) if number == signal.SIGKILL else 128 + int(number)
    whole, seconds = bench.undisturbed(case)
    row = Row(f"{number.name} at a random moment", case.name)
    while row.runs < n and len(row.problems) < 5:
        with bench.output_folder() as folder:
            _interrupt_until_done(bench, case, folder, n, number, row, expected, whole, seconds)
            code = ended(bench.start(case, folder / case.output, "--resume"))
            if code != 0:
                row.problems.append(f"--resume ended with {code}: {bench.said()[-200:]}")
            found = comparable(contents(folder, final_only=False))
            wanted = comparable(whole)
            row.problems += [
                f"resumed to another {name}" for name in wanted if found.get(name) != wanted[name]
            ]
            if left := found.keys() - wanted.keys():
                row.problems.append(f"left behind: {', '.join(sorted(left))}")
    row.note = "resumed to the same bytes"
    return row


def _interrupt_until_done(
    bench: Bench,
    case: Case,
    folder: Path,
    n: int,
    number: signal.Signals,
    row: Row,
    expected: int,
    whole: dict[str, bytes],
    seconds: float,
) -> None:
    for attempt in range(_ATTEMPTS):
        if row.runs >= n and attempt:
            return
        process = bench.start(case, folder / case.output, "--resume")
        time.sleep(bench.random.uniform(0, 1.1 * seconds))
        os.kill(process, number)
        code = ended(process)
        if code == 0:
            return  # it was faster: not a fault
        row.runs += 1
        row.codes[code] += 1
        if code != expected:
            row.problems.append(f"exit {code}: {bench.said()[-200:]}")
        judge(row, folder, whole, case)


def judge(row: Row, folder: Path, whole: dict[str, bytes], case: Case) -> None:
    """Say what is left after a fault: every final file must be whole, the index before its data."""
    found = results(contents(folder))
    row.problems += [f"{name} is not whole" for name in found if found[name] != whole.get(name)]
    if case.is_training:
        is_there = any(name.endswith("training.json") for name in found)
        row.left["finished runs" if is_there else "unfinished runs"] += 1
        return
    is_there = case.output in found
    if is_there and f"{case.output}.csi" in whole.keys() - found.keys():
        row.problems.append("the output is there without its index")
    row.left["whole outputs" if is_there else "without output"] += 1


def merges(bench: Bench, n: int) -> Iterator[Row]:
    """Merges of 1,000 shards, undisturbed, killed and stopped, of three kinds of files."""
    for name in ("embed (.h5ad)", "score-variants (.vcf.gz)", "perplexity (.tsv.gz)"):
        yield from _merges_of(bench, bench.case(name), n)


def _merges_of(bench: Bench, of: Case, n: int) -> Iterator[Row]:
    with _shards_to_merge(bench, of, 1_000) as case:
        whole, seconds = bench.undisturbed(case)
        command = f"merge ({''.join(Path(of.output).suffixes)})"
        size = f"{len(whole[case.output]) / 1e6:.1f} MB in {seconds:.1f} s"
        yield Row(
            "1,000 shards", command, 1, Counter({"whole outputs": 1}), Counter({0: 1}), note=size
        )
        for number in (signal.SIGKILL, signal.SIGTERM):
            expected = -int(number) if number == signal.SIGKILL else 128 + int(number)
            row = Row(f"{number.name} at a random moment", command)
            while row.runs < n:
                with bench.output_folder() as folder:
                    process = bench.start(case, folder / case.output)
                    time.sleep(bench.random.uniform(0.02, seconds))
                    os.kill(process, number)
                    code = ended(process)
                    if code == 0:
                        continue  # it was faster
                    row.runs += 1
                    row.codes[code] += 1
                    if code != expected:
                        row.problems.append(f"exit {code}")
                    judge(row, folder, whole, case)
                    code = ended(bench.start(case, folder / case.output, "--force"))
                    if code != 0 or contents(folder, final_only=False) != whole:
                        row.problems.append(f"merged again: {code}, or other files are left")
            row.note = "merged again to the same bytes"
            yield row


@contextmanager
def _shards_to_merge(bench: Bench, of: Case, count: int) -> Iterator[Case]:
    """A merge of `count` shards, which are one that was made and copies of it."""
    suffix = "".join(Path(of.output).suffixes)
    with tempfile.TemporaryDirectory(dir=bench.folder) as name:
        shards = Path(name)
        one = shards / f"1{suffix}"
        few = [
            word.replace("regions.bed", "few.bed").replace("variants.vcf.gz", "few.vcf.gz")
            for word in of.arguments
        ]
        code = ended(bench.start(Case(tuple(few), of.output), one, "--shard", "1/1"))
        assert code == 0, bench.said()
        manifest = Path(f"{one}.manifest.json").read_text()
        for i in range(1, count + 1):
            if i > 1:
                os.link(one, shards / f"{i}{suffix}")
            text = manifest.replace('"shard": "1/1"', f'"shard": "{i}/{count}"')
            (shards / f"{i}{suffix}.manifest.json").write_text(text)
        files = [str(shards / f"{i}{suffix}") for i in range(1, count + 1)]
        # No index: copies of one shard are not in order.
        yield Case(("merge", *files, "--no-version"), f"merged{suffix}")
