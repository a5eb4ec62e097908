"""Perplexity against context for several models, on the same held-out bases (figure 1.2 of the paper).

    snakemake -s workflows/studies/context.smk -c 2 --config fasta=hg38.fa bed=held_out.bed train=train.bed out=context

`models` are names or directories by commas, `contexts` and `targets` as in `hyenadna perplexity`. With
`train`, the regions that the models have learned, a Markov model of order 12 stands beside them.
"""

from pathlib import Path

here = Path(workflow.basedir)
out = Path(config.get("out", "context")).resolve()
models = {Path(name).name: name for name in str(config.get("models", "builtin")).split(",")}
contexts = config.get("contexts", "64,256,1k,4k,16k")
targets = config.get("targets", "4k")
tables = {name: out / f"{name}.tsv" for name in models}
if "train" in config:
    tables["markov-12"] = out / "markov" / (Path(config["fasta"]).name.partition(".")[0] + ".tsv")


rule all:
    input:
        out / "contexts.png",


rule curve:
    output:
        out / "{model}.tsv",
    params:
        model=lambda wildcards: models[wildcards.model],
    threads: 1
    shell:
        "hyenadna perplexity --fasta {config[fasta]} --bed {config[bed]} --contexts {contexts} --targets {targets} -m {params.model} --threads 1 -q --resume -o {output}"


rule markov:
    output:
        out / "markov" / (Path(config["fasta"]).name.partition(".")[0] + ".tsv"),
    shell:
        "python {here}/markov.py {config[fasta]} --train {config[train]} --bed {config[bed]} --contexts {contexts} --targets {targets} -o {out}/markov"


rule picture:
    input:
        list(tables.values()),
    output:
        out / "contexts.png",
    params:
        named=" ".join(f"{name}={path}" for name, path in tables.items()),
    shell:
        "hyenadna plot perplexity {params.named} -o {output} --force"
