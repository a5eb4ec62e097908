process HYENADNA_MERGE {
    tag "$meta.id"
    label 'process_single'

    conda "${moduleDir}/environment.yml"
    container "${ task.accelerator ? 'ghcr.io/hyenadna/hyenadna:0.1.0-cuda' : 'ghcr.io/hyenadna/hyenadna:0.1.0-cpu' }"

    input:
    tuple val(meta), path(shards), path(manifests)
    val suffix  // vcf.gz, bcf, h5ad, h5, tsv.gz, bedGraph.gz

    output:
    tuple val(meta), path("${prefix}.${suffix}"), emit: merged
    tuple val(meta), path("${prefix}.${suffix}.csi"), emit: index, optional: true
    tuple val(meta), path("${prefix}.${suffix}.manifest.json"), emit: manifest
    tuple val(meta), path("${prefix}.merge_mqc.json"), emit: stats
    tuple val("${task.process}"), val('hyenadna'), eval("hyenadna --version | sed 's/^hyenadna //'"), topic: versions, emit: versions_hyenadna

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    def index = suffix in ['vcf.gz', 'bcf'] ? '--write-index' : ''
    """
    hyenadna merge ${shards} ${index} ${args} \\
        --stats ${prefix}.merge_mqc.json -o ${prefix}.${suffix}
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    echo | gzip > ${prefix}.${suffix}
    touch ${prefix}.${suffix}.csi
    echo '{}' > ${prefix}.${suffix}.manifest.json
    echo '{}' > ${prefix}.merge_mqc.json
    """
}
