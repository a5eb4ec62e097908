"""Phrases that a reader stumbles over, in pages, help, messages and docstrings: none may be there.

    python docs/check_prose.py     lists them with what to write instead; exit 1 if there are any

What is quoted (`like this`) is code and may say anything.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]

_COUNTED = (
    "answer|base|byte|bit|channel|embedding|file|line|microsecond|probabilitie|register|row|sequence|"
    "token|value|window"
)
_EACH = (
    "allele|base|batch|block|chunk|class|contig|file|line|name|pass|process|program|record|region|"
    "row|second|sequence|site|species|step|thread|token|variant|window"
)
_PLAIN = "longer|more|less|better|worse|smaller|larger|other|such|one"
PHRASES = {
    rf"\b(?:(?:{_COUNTED})s|one (?:{_COUNTED})|one) an? (?:{_EACH})\b(?!-)": "per, not a",
    rf"\bonce an? (?:{_EACH}|length|split)\b": "once per, not once a",
    rf"(?<!here )\b(?:is|are|was) no (?!(?:{_PLAIN})\b)[a-z]": "is not a, not is no",
    r"\bso many\b": "N, or this number of",
    r"\btold apart\b": "significantly different, or say what differs",
    r"\btwice there\b": "given twice",
    r"\bstdout is data, stderr is talk\b": "results go to stdout, messages to stderr",
    r"\bOf everything \w+\.": "name the subject: Random seed.",
}
"""Regular expressions, each with what a colleague would say."""


def findings(text: str) -> Iterator[tuple[int, str, str]]:
    """Line (1-based), phrase and advice of each stumble, also across the end of a line."""
    quoted = re.sub(r"`[^`\n]*`", lambda found: "`" * len(found[0]), text)
    flat = quoted.replace("\n", " ")
    for pattern, advice in PHRASES.items():
        for found in re.finditer(pattern, flat, re.IGNORECASE):
            yield text.count("\n", 0, found.start()) + 1, found[0], advice


def main() -> None:
    """Look at every page and every module of the package."""
    command = ["git", "ls-files", "--", "*.md", "hyenadna_cli/*.py", "workflows/*.py"]
    done = subprocess.run(  # noqa: S603
        command, cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    n_found = 0
    for name in done.stdout.split():
        for line, phrase, advice in findings((REPOSITORY / name).read_text(encoding="utf-8")):
            n_found += 1
            print(f"{name}:{line}: {phrase!r}: {advice}")
    sys.exit(1 if n_found else 0)


if __name__ == "__main__":
    main()
