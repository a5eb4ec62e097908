process HYENADNA_PROMPTTUNE {
    tag "$meta.id"
    label 'process_high'

    conda "${moduleDir}/environment.yml"
    container "${ task.accelerator ? 'ghcr.io/hyenadna/hyenadna:0.1.0-cuda' : 'ghcr.io/hyenadna/hyenadna:0.1.0-cpu' }"

    input:
    tuple val(meta), path(labels)
    tuple val(meta2), path(fasta), path(fai), path(gzi)  // [] where the table has the sequences
    tuple val(meta3), path(model)  // [] for the built-in model

    output:
    tuple val(meta), path("${prefix}"), emit: prompt
    tuple val(meta), path("${prefix}/training.json"), emit: metrics
    tuple val("${task.process}"), val('hyenadna'), eval("hyenadna --version | sed 's/^hyenadna //'"), topic: versions, emit: versions_hyenadna

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    def device = task.accelerator ? 'cuda' : 'cpu'
    def genome = fasta ? "--fasta ${fasta}" : ''
    def weights = model ? "--model ${model}" : ''
    """
    hyenadna prompt-tune --data ${labels} ${genome} ${weights} \\
        --offline --device ${device} --threads ${task.cpus} --oom-exit-code 137 \\
        ${args} -o ${prefix}
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    mkdir -p ${prefix}
    touch ${prefix}/prompt.safetensors
    echo '{}' > ${prefix}/training.json
    """
}
