process HYENADNA_GENERATE {
    tag "$meta.id"
    label 'process_medium'

    conda "${moduleDir}/environment.yml"
    container "${ task.accelerator ? 'ghcr.io/hyenadna/hyenadna:0.1.0-cuda' : 'ghcr.io/hyenadna/hyenadna:0.1.0-cpu' }"

    input:
    tuple val(meta), path(prompts)  // [] to start from nothing
    val length  // bases to sample for each sequence
    tuple val(meta2), path(model)  // [] for the built-in model

    output:
    tuple val(meta), path("${prefix}.fa.gz"), emit: fasta
    tuple val(meta), path("${prefix}.fa.gz.manifest.json"), emit: manifest
    tuple val(meta), path("${prefix}.generate_mqc.json"), emit: stats
    tuple val("${task.process}"), val('hyenadna'), eval("hyenadna --version | sed 's/^hyenadna //'"), topic: versions, emit: versions_hyenadna

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    def device = task.accelerator ? 'cuda' : 'cpu'
    def weights = model ? "--model ${model}" : ''
    def start = prompts ? "--fasta ${prompts}" : ''
    """
    hyenadna generate --length ${length} ${start} ${weights} \\
        --offline --device ${device} --threads ${task.cpus} --oom-exit-code 137 \\
        ${args} --stats ${prefix}.generate_mqc.json -o ${prefix}.fa.gz
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    echo | gzip > ${prefix}.fa.gz
    echo '{}' > ${prefix}.fa.gz.manifest.json
    echo '{}' > ${prefix}.generate_mqc.json
    """
}
