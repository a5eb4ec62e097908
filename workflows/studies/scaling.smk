"""Depth, width and context at equal compute: which shape a number of operations is best spent on.

    snakemake -s workflows/studies/scaling.smk -c 2 --config fasta=hg38.fa bed=regions.bed held_out=held_out.bed out=scaling

Shapes are BLOCKSxCHANNELS. A model of N parameters is trained on `compute` / (6 N) bases, the usual
count of operations of a step (the long convolutions come on top, for all shapes alike per channel and
base). `bed` has a split column, as for `hyenadna pretrain`; `held_out` says where models are judged, on
the same bases, with 7/8 of their windows as context. One seed and one learning rate for all.
"""

from pathlib import Path

here = Path(workflow.basedir)
out = Path(config.get("out", "scaling")).resolve()
shapes = str(config.get("shapes", "1x32,2x32,2x64,4x64")).split(",")
windows = [int(text) for text in str(config.get("windows", "256,1024")).split(",")]
compute = float(config.get("compute", 1e11))
batch = int(config.get("batch", 2048))
targets = config.get("targets", "4k")


def parameters(shape):
    """Of a model of this shape; `hyenadna models info` counts the same."""
    n_layer, d_model = (int(text) for text in shape.split("x"))
    return n_layer * (12 * d_model**2 + 90 * d_model + 8_768) + 18 * d_model


def steps(shape):
    """As many as the compute pays for."""
    return max(1, round(compute / (6 * parameters(shape) * batch)))


wildcard_constraints:
    shape="[0-9]+x[0-9]+",
    window="[0-9]+",


rule all:
    input:
        out / "scaling.tsv",


rule train:
    output:
        out / "{shape}-{window}/model.safetensors",
    params:
        shape=lambda wildcards: "--n-layer {} --d-model {}".format(*wildcards.shape.split("x")),
        steps=lambda wildcards: steps(wildcards.shape),
    threads: 1
    shell:
        "hyenadna pretrain --fasta {config[fasta]} --bed {config[bed]} {params.shape} --max-length {wildcards.window} --batch-bases {batch} --max-steps {params.steps} --warmup-steps 10 --lr 3e-3 --valid-bases 32k --threads 1 -q --resume -o {out}/{wildcards.shape}-{wildcards.window}"


rule judge:
    input:
        out / "{shape}-{window}/model.safetensors",
    output:
        out / "{shape}-{window}.tsv",
    params:
        context=lambda wildcards: int(wildcards.window) * 7 // 8,
    threads: 1
    shell:
        "hyenadna perplexity --fasta {config[fasta]} --bed {config[held_out]} --contexts {params.context} --targets {targets} -m {out}/{wildcards.shape}-{wildcards.window} --threads 1 -q --resume -o {output}"


rule fit:
    input:
        expand(out / "{shape}-{window}.tsv", shape=shapes, window=windows),
    output:
        out / "scaling.tsv",
    params:
        runs=" ".join(f"{window}/{shape}={out}/{shape}-{window}.tsv={parameters(shape)}" for window in windows for shape in shapes),
    shell:
        "python {here}/scaling_fit.py {params.runs} -o {output}"
