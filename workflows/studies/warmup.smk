"""Sequence-length warm-up on and off, on the species task (figure 3.2 of the paper).

    snakemake -s workflows/studies/warmup.smk -c 2 --config manifest=species.tsv out=warmup

Models from random weights, `windows` windows a step. `off` reads windows of `length` bases for `steps`
steps; `on` doubles the length from 64 bases at as many windows a step, for as many steps, and so reads
fewer bases; `on_same_bases` has the same stages and goes on until it has read as many bases as `off`.
A base costs about the same at any length, so that this is about the same time too.
"""

from pathlib import Path

here = Path(workflow.basedir)
out = Path(config.get("out", "warmup")).resolve()
length, windows, steps = (int(config.get(name, value)) for name, value in (("length", 1024), ("windows", 16), ("steps", 60)))
lengths = [64 * 2**n for n in range(32) if 64 * 2**n < length] + [length]
stage = max(1, steps // len(lengths))
schedule = ",".join(f"{n}:{stage}" for n in lengths)
same_bases = stage * (len(lengths) - 1) + -(-(steps * length - stage * sum(lengths[:-1])) // length)
# steps and stages of a run
runs = {"off": (steps, ""), "on": (steps, schedule), "on_same_bases": (same_bases, schedule)}
seeds = [int(seed) for seed in str(config.get("seeds", "1")).split(",")]
rate = config.get("lr", 1e-3)
shape = config.get("shape", "--d-model 64 --n-layer 2")


wildcard_constraints:
    run="|".join(runs),
    seed="[0-9]+",


rule all:
    input:
        out / "warmup.tsv",
        out / "warmup.png",


rule settings:
    output:
        out / "settings.toml",
    shell:
        "printf '[train]\\nkeep = \"sequences\"\\n' > {output}"


rule train:
    input:
        out / "settings.toml",
    output:
        out / "{run}-{seed}/evaluation/accuracy.tsv",
    params:
        steps=lambda wildcards: runs[wildcards.run][0],
        schedule=lambda wildcards: f"--length-schedule {runs[wildcards.run][1]}" if runs[wildcards.run][1] else "",
        # Sequences a step are kept from the first stage on.
        batch=lambda wildcards: windows * (lengths[0] if runs[wildcards.run][1] else length),
        test=config.get("test_windows", 40),
    threads: 1
    shell:
        "hyenadna classify-species train --manifest {config[manifest]} --from-scratch {shape} --config {input} --length {length} {params.schedule} --max-steps {params.steps} --batch-bases {params.batch} --lr {rate} --warmup-steps 5 --probe-bases 0 --lengths {length} --test-windows {params.test} --seed {wildcards.seed} --threads 1 -q --resume -o {out}/{wildcards.run}-{wildcards.seed}"


rule table:
    input:
        expand(out / "{run}-{seed}/evaluation/accuracy.tsv", run=runs, seed=seeds),
    output:
        out / "warmup.tsv",
    params:
        runs=" ".join(f"{run}-{seed}={out}/{run}-{seed}" for run in runs for seed in seeds),
    shell:
        "python {here}/trainings.py {params.runs} -o {output}"


rule picture:
    input:
        expand(out / "{run}-{seed}/evaluation/accuracy.tsv", run=runs, seed=seeds),
    output:
        out / "warmup.png",
    params:
        runs=" ".join(f"seed-{seed}/{run}={out}/{run}-{seed}/evaluation/accuracy.tsv" for run in runs for seed in seeds),
    shell:
        "python {here}/points.py --value accuracy {params.runs} -o {out}/accuracy.tsv && mv {out}/accuracy.png {output}"
