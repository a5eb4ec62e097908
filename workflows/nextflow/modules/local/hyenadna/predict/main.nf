process HYENADNA_PREDICT {
    tag "$meta.id"
    label 'process_medium'

    conda "${moduleDir}/environment.yml"
    container "${ task.accelerator ? 'ghcr.io/hyenadna/hyenadna:0.1.0-cuda' : 'ghcr.io/hyenadna/hyenadna:0.1.0-cpu' }"

    input:
    tuple val(meta), path(bed)  // [] for whole records
    tuple val(meta2), path(fasta), path(fai), path(gzi)
    tuple val(meta3), path(model)  // what finetune or prompt-tune wrote

    output:
    tuple val(meta), path("${prefix}.tsv.gz"), emit: tsv
    tuple val(meta), path("${prefix}.tsv.gz.manifest.json"), emit: manifest
    tuple val(meta), path("${prefix}.predict_mqc.json"), emit: stats
    tuple val("${task.process}"), val('hyenadna'), eval("hyenadna --version | sed 's/^hyenadna //'"), topic: versions, emit: versions_hyenadna

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    def device = task.accelerator ? 'cuda' : 'cpu'
    def regions = bed ? "--bed ${bed}" : ''
    """
    hyenadna predict --fasta ${fasta} ${regions} --model ${model} \\
        --device ${device} --threads ${task.cpus} --oom-exit-code 137 \\
        ${args} --stats ${prefix}.predict_mqc.json -o ${prefix}.tsv.gz
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    echo | gzip > ${prefix}.tsv.gz
    echo '{}' > ${prefix}.tsv.gz.manifest.json
    echo '{}' > ${prefix}.predict_mqc.json
    """
}
