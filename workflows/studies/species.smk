"""How well a model of one species predicts others, against its training data's GC and Markov models.

    snakemake -s workflows/studies/species.smk -c 2 --config genomes=mouse.fa,dog.fa train_fasta=hg38.fa train=train.bed out=species

Each genome gives `targets` bases, read with `context` bases before them. `train_fasta` and `train` are
what the model has learned: the baselines count words of nothing else. `bed`, if given, says where the
targets lie, in the contigs' names of every genome.
"""

from pathlib import Path

here = Path(workflow.basedir)
out = Path(config.get("out", "species")).resolve()
model = config.get("model", "builtin")
context = config.get("context", "1k")
targets = config.get("targets", "4k")
bed = f"--bed {config['bed']}" if "bed" in config else ""
genomes = {Path(path).name.partition(".")[0]: path for path in str(config["genomes"]).split(",")}
orders = {"gc": 0, "markov-12": 12}


wildcard_constraints:
    species="[^/]+",
    baseline="|".join(orders),


rule all:
    input:
        out / "species.tsv",


rule model:
    output:
        out / "model/{species}.tsv",
    params:
        fasta=lambda wildcards: genomes[wildcards.species],
    threads: 1
    shell:
        "hyenadna perplexity --fasta {params.fasta} {bed} --contexts {context} --targets {targets} -m {model} --threads 1 -q --resume -o {output}"


rule baseline:
    output:
        [out / "{baseline}" / f"{name}.tsv" for name in genomes],
    params:
        order=lambda wildcards: orders[wildcards.baseline],
        all=" ".join(genomes.values()),
    shell:
        "python {here}/markov.py {params.all} --train-fasta {config[train_fasta]} --train {config[train]} {bed} --contexts {context} --targets {targets} --order {params.order} -o {out}/{wildcards.baseline}"


rule table:
    input:
        expand(out / "{series}/{species}.tsv", series=["model", *orders], species=genomes),
    output:
        out / "species.tsv",
    params:
        runs=" ".join(f"{series}/{name}={out}/{series}/{name}.tsv" for series in ["model", *orders] for name in genomes),
    shell:
        "python {here}/points.py --value nats_per_base {params.runs} -o {output}"
