"""In-context learning: soft prompts of 2 to 32,768 tokens, and demonstrations by samples (figures 4.2 and A.1).

    snakemake -s workflows/studies/in_context.smk -c 2 --config data=prom_core_tata out=in_context
    snakemake -s workflows/studies/in_context.smk -c 2 --config data=prom_core_tata tokens=2,32,512,2k,8k,32k seeds=0,1 out=in_context

`data` is what `hyenadna prompt-tune --data` reads. Each of `tokens` is a run with a frozen model, and
each of `shots` (per class) by `samples` (that all weights are tuned on) a run with demonstrations, for
each of `seeds`; an empty list (tokens=) leaves a sweep out. `others` are results to stand beside the
prompts, as `others="probe=probe/metrics.json"`. `options` go to every `hyenadna prompt-tune`,
`soft_options` to those with soft prompts.
"""

from pathlib import Path

here = Path(workflow.basedir)
out = Path(config.get("out", "in_context")).resolve()


def numbers(name, usual):
    """A list of the config, as texts."""
    return [text for text in str(config.get(name, usual)).split(",") if text]


tokens = numbers("tokens", "2,32,512,2k")
shots, samples = numbers("shots", "0,2,8,32"), numbers("samples", "0,16,64,256")
seeds = numbers("seeds", "0")
model = config.get("model", "builtin")
options = config.get("options", "")
soft_options = config.get("soft_options", "--init random --lr 0.03 --epochs 2")
soft = expand(out / "soft/{tokens}-{seed}/training.json", tokens=tokens, seed=seeds)
shown = expand(out / "shots/{shots}-{samples}-{seed}/training.json", shots=shots, samples=samples, seed=seeds)
tables = {"soft": soft, "shots": shown}
kinds = [kind for kind, runs in tables.items() if runs]


wildcard_constraints:
    tokens="[0-9]+k?",
    shots="[0-9]+",
    samples="[0-9]+",
    seed="[0-9]+",
    kind="soft|shots",


rule all:
    input:
        expand(out / "{kind}.tsv", kind=kinds),


rule soft_prompt:
    output:
        out / "soft/{tokens}-{seed}/training.json",
    params:
        # As in lengths of bases: 2k are 2,000, and 2,048 are written out.
        tokens=lambda wildcards: int(wildcards.tokens.replace("k", "000")),
    threads: 1
    shell:
        "hyenadna prompt-tune --data {config[data]:q} -m {model:q} --tokens {params.tokens} {soft_options} --seed {wildcards.seed} --threads 1 -q --resume {options} -o {out}/soft/{wildcards.tokens}-{wildcards.seed}"


rule demonstrations:
    output:
        out / "shots/{shots}-{samples}-{seed}/training.json",
    threads: 1
    shell:
        "hyenadna prompt-tune --data {config[data]:q} -m {model:q} --shots {wildcards.shots} --samples {wildcards.samples} --seed {wildcards.seed} --threads 1 -q --resume {options} -o {out}/shots/{wildcards.shots}-{wildcards.samples}-{wildcards.seed}"


rule table:
    input:
        lambda wildcards: tables[wildcards.kind],
    output:
        out / "{kind}.tsv",
    params:
        others=lambda wildcards: config.get("others", "") if wildcards.kind == "soft" else "",
    shell:
        "python {here}/in_context.py {wildcards.kind} {input:q} {params.others} -o {output:q}"
