process HYENADNA_CLASSIFYSPECIESTRAIN {
    tag "$meta.id"
    label 'process_high'

    conda "${moduleDir}/environment.yml"
    container "${ task.accelerator ? 'ghcr.io/hyenadna/hyenadna:0.1.0-cuda' : 'ghcr.io/hyenadna/hyenadna:0.1.0-cpu' }"

    input:
    tuple val(meta), path(manifest), path(genomes)  // FASTA and .fai files that the manifest names
    val length  // bases of the longest training windows
    tuple val(meta2), path(model)  // [] for the built-in model

    output:
    tuple val(meta), path("${prefix}"), emit: model
    tuple val(meta), path("${prefix}/metrics.csv"), emit: metrics
    tuple val("${task.process}"), val('hyenadna'), eval("hyenadna --version | sed 's/^hyenadna //'"), topic: versions, emit: versions_hyenadna

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    def device = task.accelerator ? 'cuda' : 'cpu'
    def weights = model ? "--model ${model}" : ''
    """
    hyenadna classify-species train --manifest ${manifest} --length ${length} ${weights} \\
        --offline --device ${device} --threads ${task.cpus} --oom-exit-code 137 \\
        ${args} -o ${prefix}
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    mkdir -p ${prefix}
    touch ${prefix}/config.json ${prefix}/model.safetensors
    touch ${prefix}/metrics.csv
    """
}
