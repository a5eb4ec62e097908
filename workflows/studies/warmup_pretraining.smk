"""Sequence-length warm-up on and off, in pretraining: the loss on held-out bases.

    snakemake -s workflows/studies/warmup_pretraining.smk -c 2 --config fasta=hg38.fa bed=regions.bed held_out=held_out.bed out=warmup

The runs are those of warmup.smk: `off`, `on` (as many steps) and `on_same_bases`. `bed` has a split column,
as for `hyenadna pretrain`; models are judged on the same bases of `held_out`, with 7/8 of `length` as context.
"""

from pathlib import Path

here = Path(workflow.basedir)
out = Path(config.get("out", "warmup")).resolve()
length, windows, steps = (int(config.get(name, value)) for name, value in (("length", 1024), ("windows", 8), ("steps", 100)))
lengths = [64 * 2**n for n in range(32) if 64 * 2**n < length] + [length]
stage = max(1, steps // len(lengths))
schedule = ",".join(f"{n}:{stage}" for n in lengths)
same_bases = stage * (len(lengths) - 1) + -(-(steps * length - stage * sum(lengths[:-1])) // length)
# steps and stages of a run
runs = {"off": (steps, ""), "on": (steps, schedule), "on_same_bases": (same_bases, schedule)}
seeds = [int(seed) for seed in str(config.get("seeds", "1")).split(",")]
shape = config.get("shape", "--d-model 64 --n-layer 2")
targets = config.get("targets", "4k")


wildcard_constraints:
    run="|".join(runs),
    seed="[0-9]+",


rule all:
    input:
        out / "warmup.tsv",


rule settings:
    output:
        out / "settings.toml",
    shell:
        "printf '[train]\\nkeep = \"sequences\"\\n' > {output}"


rule train:
    input:
        out / "settings.toml",
    output:
        out / "{run}-{seed}/model.safetensors",
    params:
        steps=lambda wildcards: runs[wildcards.run][0],
        schedule=lambda wildcards: f"--length-schedule {runs[wildcards.run][1]}" if runs[wildcards.run][1] else "",
        batch=lambda wildcards: windows * (lengths[0] if runs[wildcards.run][1] else length),
        rate=config.get("lr", 3e-3),
    threads: 1
    shell:
        "hyenadna pretrain --fasta {config[fasta]} --bed {config[bed]} {shape} --config {input} --max-length {length} {params.schedule} --max-steps {params.steps} --batch-bases {params.batch} --lr {params.rate} --warmup-steps 5 --valid-bases 32k --seed {wildcards.seed} --threads 1 -q --resume -o {out}/{wildcards.run}-{wildcards.seed}"


rule judge:
    input:
        out / "{run}-{seed}/model.safetensors",
    output:
        out / "{run}-{seed}.tsv",
    params:
        context=length * 7 // 8,
    threads: 1
    shell:
        "hyenadna perplexity --fasta {config[fasta]} --bed {config[held_out]} --contexts {params.context} --targets {targets} -m {out}/{wildcards.run}-{wildcards.seed} --threads 1 -q --resume -o {output}"


rule table:
    input:
        expand(out / "{run}-{seed}.tsv", run=runs, seed=seeds),
    output:
        out / "warmup.tsv",
    params:
        runs=" ".join(f"seed-{seed}/{run}={out}/{run}-{seed}.tsv" for run in runs for seed in seeds),
    shell:
        "python {here}/points.py --value nats_per_base {params.runs} -o {output}"
