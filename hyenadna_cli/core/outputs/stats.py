"""What `--stats FILE` writes: JSON, in the form that MultiQC draws where FILE ends in _mqc.json.

    {"schema": 1, "command": ..., "output": ..., "status": {status: count}, ..., "settings": {...}}

MultiQC (custom content): a bar of counts per status, one bar per output.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from hyenadna_cli.core.outputs import atomic

_SCHEMA = 1
_MULTIQC = "_mqc.json"


def write_stats(path: Path, entries: Mapping[str, object]) -> None:
    """Write the statistics of a run; `entries` has command, output and status. Raises OutputError.

    The name of the bar in MultiQC is that of the output without folders, or the command on stdout.
    """
    if path.name.endswith(_MULTIQC):
        output = Path(str(entries["output"])).name
        name = str(entries["command"]) if output == "-" else output
        ident = "hyenadna_" + str(entries["command"]).replace("-", "_")
        content: dict[str, object] = {
            "id": ident,
            "section_name": f"hyenadna {entries['command']}",
            "description": "Records or alleles by what became of them.",
            "plot_type": "bargraph",
            "pconfig": {
                "id": f"{ident}_status",
                "title": f"hyenadna {entries['command']}: status",
                "ylab": "count",
            },
            "data": {name: entries["status"]},
        }
    else:
        content = {"schema": _SCHEMA, **entries}
    atomic.write_text(path, json.dumps(content, indent=2) + "\n")
