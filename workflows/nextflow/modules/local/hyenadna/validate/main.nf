process HYENADNA_VALIDATE {
    tag "$meta.id"
    label 'process_single'

    conda "${moduleDir}/environment.yml"
    container 'ghcr.io/hyenadna/hyenadna:0.1.0-cpu'

    input:
    tuple val(meta), path(input, arity: '1')  // VCF, BCF or BED
    tuple val(meta2), path(fasta), path(fai), path(gzi)
    tuple val(meta3), path(model)  // [] for the built-in model

    output:
    tuple val(meta), path(input, includeInputs: true), emit: checked
    tuple val(meta), path("${prefix}.plan.tsv"), emit: plan
    tuple val("${task.process}"), val('hyenadna'), eval("hyenadna --version | sed 's/^hyenadna //'"), topic: versions, emit: versions_hyenadna

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    def is_bed = input.name.endsWith('.bed') || input.name.endsWith('.bed.gz')
    def command = is_bed ? "embed --bed ${input} -o ${prefix}.h5ad" : "score-variants ${input}"
    def weights = model ? "--model ${model}" : ''
    """
    hyenadna ${command} --fasta ${fasta} ${weights} --offline ${args} --dry-run > ${prefix}.plan.tsv
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    touch ${prefix}.plan.tsv
    """
}
