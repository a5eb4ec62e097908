"""How well a model's scores tell labelled alleles apart: AUROC and AUPRC by score, window and region class.

    snakemake -s workflows/studies/variants.smk -c 2 --config vcf=clinvar.vcf.gz label=CLASS positive=P/LP negative=B/LB fasta=hg19.fa genes=genes.gtf.gz out=variants

`label` is an INFO key; `positive` and `negative` are its values, several by commas, of which `each`
records are drawn at most (0: all). `models`, `windows` and `scores` are lists by commas. Region classes
come from `genes` (GTF), from the names of `regions` (BED), or from the INFO key `region_info`. `also` are
INFO keys of scores to stand beside the model's, with - before those of which less is worse. `options`
go to `hyenadna score-variants`, such as options="--layout grid --contig-map auto".
"""

from pathlib import Path

here = Path(workflow.basedir)
out = Path(config.get("out", "variants")).resolve()
label = config.get("label", "CLASS")
models = {Path(name).name: name for name in str(config.get("models", "builtin")).split(",")}
windows = str(config.get("windows", "256,1024")).split(",")
scores = config.get("scores", "llr,site")
options = config.get("options", "")
each = int(config.get("each", 500))
sampled = out / "sample.vcf" if each else Path(config["vcf"])
classes = [f"--{key.replace('_', '-')}={config[key]}" for key in ("genes", "regions", "region_info", "also") if key in config]


wildcard_constraints:
    model="[^/]+",
    window="[^/]+",


rule all:
    input:
        out / "variants.tsv",


rule sample:
    input:
        config["vcf"],
    output:
        out / "sample.vcf",
    params:
        script=here.parent / "reproduce/variant-scoring/sample_vcf.py",
        values=f"{config['positive']},{config['negative']}",
    shell:
        "python {params.script} {input:q} --label {label:q} --values {params.values:q} --each {each} > {output:q}"


rule score:
    input:
        sampled,
    output:
        out / "{model}-{window}.vcf.gz",
    params:
        model=lambda wildcards: models[wildcards.model],
    threads: 1
    shell:
        "hyenadna score-variants {input:q} --fasta {config[fasta]:q} -m {params.model:q} --window {wildcards.window} --scores {scores} --threads 1 -q --resume {options} -o {output:q}"


rule table:
    input:
        expand(out / "{model}-{window}.vcf.gz", model=models, window=windows),
    output:
        out / "variants.tsv",
    params:
        runs=[f"{model}={out}/{model}-{window}.vcf.gz" for model in models for window in windows],
    shell:
        "python {here}/variants.py {params.runs:q} --label {label:q} --positive {config[positive]:q} --negative {config[negative]:q} --fasta {config[fasta]:q} {classes:q} -o {output:q}"
