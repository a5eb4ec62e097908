"""A whole suite of benchmarks, fine-tuned as published, in one table beside the published rows.

    snakemake -s workflows/studies/suite.smk -c 2 --config suite=genomic-benchmarks data=DATA out=suite
    snakemake -s workflows/studies/suite.smk -c 2 --config suite=nucleotide-transformer out=suite

`genomic-benchmarks` are the 8 sets of table 4.1, `nucleotide-transformer` the 18 of table 4.2. `data` is
a folder that holds them; without it they come from the hub. `sets` chooses some by commas: those that are
at hand, without those that have rows of one class only, which end with a line in their log. `options` come
last, such as `options="-m builtin --epochs 2 --max-train-rows 500"`: what they change is in each log.
"""

import tomllib
from pathlib import Path

here = Path(workflow.basedir)
out = Path(config.get("out", "suite")).resolve()
suite = config["suite"]
facts = tomllib.loads((here.parents[1] / "hyenadna_cli/core/tasks/labelled/presets.toml").read_text())
published = [name for name, entry in facts[suite]["sets"].items() if "published" in entry]
sets = str(config["sets"]).split(",") if "sets" in config else published
data = f"--data {Path(config['data']).resolve()}" if "data" in config else ""
recipe = config.get("recipe", "published")
options = config.get("options", "")


wildcard_constraints:
    name="[^/.]+",


rule all:
    input:
        out / f"{suite}.tsv",


rule finetune:
    output:
        out / "{name}.tsv",
    log:
        out / "{name}.log",
    threads: 1
    shell:
        "hyenadna finetune --preset {suite}/{wildcards.name} --recipe {recipe} {data} --table --resume --threads 1 {options} -o {out}/{wildcards.name} > {output} 2> {log}"


rule table:
    input:
        expand(out / "{name}.tsv", name=sets),
    output:
        out / f"{suite}.tsv",
    shell:
        "python {here}/suite_table.py {input} -o {output}"
