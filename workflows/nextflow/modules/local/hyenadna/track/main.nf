process HYENADNA_TRACK {
    tag "$meta.id"
    label 'process_medium'

    conda "${moduleDir}/environment.yml"
    container "${ task.accelerator ? 'ghcr.io/hyenadna/hyenadna:0.1.0-cuda' : 'ghcr.io/hyenadna/hyenadna:0.1.0-cpu' }"

    input:
    tuple val(meta), path(bed)  // [] for whole contigs
    tuple val(meta2), path(fasta), path(fai), path(gzi)
    tuple val(meta3), path(model)  // [] for the built-in model

    output:
    tuple val(meta), path("${prefix}.bedGraph.gz"), emit: track
    tuple val(meta), path("${prefix}.bedGraph.gz.manifest.json"), emit: manifest
    tuple val(meta), path("${prefix}.track_mqc.json"), emit: stats
    tuple val("${task.process}"), val('hyenadna'), eval("hyenadna --version | sed 's/^hyenadna //'"), topic: versions, emit: versions_hyenadna

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    def device = task.accelerator ? 'cuda' : 'cpu'
    def weights = model ? "--model ${model}" : ''
    def regions = bed ? "--bed ${bed}" : ''
    """
    hyenadna perplexity --fasta ${fasta} ${regions} ${weights} \\
        --offline --device ${device} --threads ${task.cpus} --oom-exit-code 137 \\
        ${args} --stats ${prefix}.track_mqc.json --track ${prefix}.bedGraph.gz
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    echo | gzip > ${prefix}.bedGraph.gz
    echo '{}' > ${prefix}.bedGraph.gz.manifest.json
    echo '{}' > ${prefix}.track_mqc.json
    """
}
