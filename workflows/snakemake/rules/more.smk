# As for variants and regions: alleles -> vectors, regions -> predictions, regions -> tracks.
#
#   alleles      -> embed --vcf i/N ...          -> merge -> embedded_alleles/NAME.h5ad
#   predictions  -> predict i/N ...              -> merge -> predicted/NAME.tsv.gz
#   tracks       -> perplexity --track i/N ...   -> merge -> tracks/NAME.bedGraph.gz


rule embed_alleles:
    input:
        vcf=lambda wildcards: config["alleles"][wildcards.name],
        fasta=config["fasta"],
    output:
        h5ad=temp("shards/{name}/{shard}-of-{n}.alleles.h5ad"),
        manifest=temp("shards/{name}/{shard}-of-{n}.alleles.h5ad.manifest.json"),
    log:
        "logs/embed_alleles/{name}.{shard}-of-{n}.log",
    conda:
        "../envs/hyenadna.yaml"
    threads: config["threads"]
    resources:
        mem_mb=config["mem_mb"],
        runtime=config["runtime"],
    params:
        common=COMMON,
        extra=config["allele_options"],
        stamp=STAMP,
    shell:
        "hyenadna embed --fasta {input.fasta} --vcf {input.vcf} {params.common} {params.extra} "
        "{params.stamp} --shard {wildcards.shard}/{wildcards.n} --threads {threads} "
        "--resume --force -o {output.h5ad} 2> {log}"


rule predict:
    input:
        bed=lambda wildcards: config["predictions"][wildcards.name],
        fasta=config["fasta"],
        classifier=lambda wildcards: config["classifier"],
    output:
        table=temp("shards/{name}/{shard}-of-{n}.predictions.tsv.gz"),
        manifest=temp("shards/{name}/{shard}-of-{n}.predictions.tsv.gz.manifest.json"),
    log:
        "logs/predict/{name}.{shard}-of-{n}.log",
    conda:
        "../envs/hyenadna.yaml"
    threads: config["threads"]
    resources:
        mem_mb=config["mem_mb"],
        runtime=config["runtime"],
    params:
        extra=config["predict_options"],
        stamp=STAMP,
    shell:
        "hyenadna predict -m {input.classifier} --fasta {input.fasta} --bed {input.bed} "
        "{params.extra} {params.stamp} --shard {wildcards.shard}/{wildcards.n} "
        "--threads {threads} --resume --force -o {output.table} 2> {log}"


rule track:
    input:
        bed=lambda wildcards: config["tracks"][wildcards.name],
        fasta=config["fasta"],
    output:
        track=temp("shards/{name}/{shard}-of-{n}.track.bedGraph.gz"),
        manifest=temp("shards/{name}/{shard}-of-{n}.track.bedGraph.gz.manifest.json"),
    log:
        "logs/track/{name}.{shard}-of-{n}.log",
    conda:
        "../envs/hyenadna.yaml"
    threads: config["threads"]
    resources:
        mem_mb=config["mem_mb"],
        runtime=config["runtime"],
    params:
        common=COMMON,
        extra=config["track_options"],
        stamp=STAMP,
    shell:
        "hyenadna perplexity --fasta {input.fasta} --bed {input.bed} {params.common} "
        "{params.extra} {params.stamp} --shard {wildcards.shard}/{wildcards.n} "
        "--threads {threads} --resume --force --track {output.track} 2> {log}"


use rule merge_embeddings as merge_alleles with:
    input:
        shards=expand(
            "shards/{{name}}/{shard}-of-{n}.alleles.h5ad", shard=SHARDS, n=config["shards"]
        ),
        manifests=expand(
            "shards/{{name}}/{shard}-of-{n}.alleles.h5ad.manifest.json",
            shard=SHARDS,
            n=config["shards"],
        ),
    output:
        merged="embedded_alleles/{name}.h5ad",
        manifest="embedded_alleles/{name}.h5ad.manifest.json",
        stats="report/{name}.alleles_mqc.json",
    log:
        "logs/merge_alleles/{name}.log",
    conda:
        "../envs/hyenadna.yaml"


use rule merge_embeddings as merge_predictions with:
    input:
        shards=expand(
            "shards/{{name}}/{shard}-of-{n}.predictions.tsv.gz", shard=SHARDS, n=config["shards"]
        ),
        manifests=expand(
            "shards/{{name}}/{shard}-of-{n}.predictions.tsv.gz.manifest.json",
            shard=SHARDS,
            n=config["shards"],
        ),
    output:
        merged="predicted/{name}.tsv.gz",
        manifest="predicted/{name}.tsv.gz.manifest.json",
        stats="report/{name}.predictions_mqc.json",
    log:
        "logs/merge_predictions/{name}.log",
    conda:
        "../envs/hyenadna.yaml"


use rule merge_embeddings as merge_tracks with:
    input:
        shards=expand(
            "shards/{{name}}/{shard}-of-{n}.track.bedGraph.gz", shard=SHARDS, n=config["shards"]
        ),
        manifests=expand(
            "shards/{{name}}/{shard}-of-{n}.track.bedGraph.gz.manifest.json",
            shard=SHARDS,
            n=config["shards"],
        ),
    output:
        merged="tracks/{name}.bedGraph.gz",
        manifest="tracks/{name}.bedGraph.gz.manifest.json",
        stats="report/{name}.track_mqc.json",
    log:
        "logs/merge_tracks/{name}.log",
    conda:
        "../envs/hyenadna.yaml"
