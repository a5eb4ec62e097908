"""One row a result: records per status, and what made it, from the manifests."""

import json
from pathlib import Path

COLUMNS = ("result", "status", "records", "model", "model_sha256", "result_sha256")

with Path(snakemake.log[0]).open("w"), Path(snakemake.output.table).open("w") as table:  # noqa: F821
    print(*COLUMNS, sep="\t", file=table)
    for path in snakemake.input:  # noqa: F821
        manifest = json.loads(Path(path).read_text())
        result = manifest["output"]
        model = manifest["model"]
        for status, count in manifest["rows"].items() or {"": 0}.items():
            print(
                result["path"],
                status,
                count,
                model["name"],
                model["sha256"],
                result["sha256"],
                sep="\t",
                file=table,
            )
