#!/usr/bin/env nextflow
// Variants to scores, regions to embeddings and to tracks of single bases, in shards, gathered.
//
//   nextflow run workflows/nextflow -profile conda -params-file params.json
//
//   vcf, bed -> validate (--dry-run) -> score or embed, shard i/N -> merge -> index, statistics for MultiQC
//   tracks   -----------------------> perplexity --track, shard i/N -> merge

include { HYENADNA_SCOREVARIANTS } from './modules/local/hyenadna/scorevariants/main'
include { HYENADNA_EMBED } from './modules/local/hyenadna/embed/main'
include { HYENADNA_TRACK } from './modules/local/hyenadna/track/main'
include { HYENADNA_MERGE as MERGE_VARIANTS } from './modules/local/hyenadna/merge/main'
include { HYENADNA_MERGE as MERGE_EMBEDDINGS } from './modules/local/hyenadna/merge/main'
include { HYENADNA_MERGE as MERGE_TRACKS } from './modules/local/hyenadna/merge/main'
include { HYENADNA_VALIDATE } from './modules/local/hyenadna/validate/main'

workflow {
    def fasta = [
        [id: 'genome'],
        file(params.fasta, checkIfExists: true),
        file("${params.fasta}.fai", checkIfExists: true),
        params.fasta.endsWith('.gz') ? file("${params.fasta}.gzi", checkIfExists: true) : [],
    ]
    def model = [[id: 'model'], params.model ? file(params.model, checkIfExists: true) : []]
    def shards = channel.of(1..params.shards)

    variants = params.vcf ? channel.of([[id: 'variants'], file(params.vcf, checkIfExists: true)]) : channel.empty()
    regions = params.bed ? channel.of([[id: 'regions'], file(params.bed, checkIfExists: true)]) : channel.empty()

    tracks = params.tracks ? channel.of(file(params.tracks, checkIfExists: true)) : channel.empty()

    HYENADNA_VALIDATE(variants.mix(regions), fasta, model)
    checked = HYENADNA_VALIDATE.out.checked.branch { meta, input ->
        variants: meta.id == 'variants'
        regions: true
    }

    to_score = checked.variants.combine(shards).map { meta, vcf, shard -> [[id: "variants.${shard}", shard: "${shard}/${params.shards}"], vcf] }
    to_embed = checked.regions.combine(shards).map { meta, bed, shard -> [[id: "regions.${shard}", shard: "${shard}/${params.shards}"], bed] }
    to_track = tracks.combine(shards).map { bed, shard -> [[id: "tracks.${shard}", shard: "${shard}/${params.shards}"], bed] }
    HYENADNA_SCOREVARIANTS(to_score, fasta, model)
    HYENADNA_EMBED(to_embed, fasta, model)
    HYENADNA_TRACK(to_track, fasta, model)

    scored = HYENADNA_SCOREVARIANTS.out.vcf
        .join(HYENADNA_SCOREVARIANTS.out.manifest)
        .map { meta, vcf, manifest -> ['variants', vcf, manifest] }
        .groupTuple()
        .map { id, vcfs, manifests -> [[id: id], vcfs, manifests] }
    embedded = HYENADNA_EMBED.out.h5ad
        .join(HYENADNA_EMBED.out.manifest)
        .map { meta, h5ad, manifest -> ['regions', h5ad, manifest] }
        .groupTuple()
        .map { id, h5ads, manifests -> [[id: id], h5ads, manifests] }
    tracked = HYENADNA_TRACK.out.track
        .join(HYENADNA_TRACK.out.manifest)
        .map { meta, track, manifest -> ['tracks', track, manifest] }
        .groupTuple()
        .map { id, tracks, manifests -> [[id: id], tracks, manifests] }
    MERGE_VARIANTS(scored, 'vcf.gz')
    MERGE_EMBEDDINGS(embedded, 'h5ad')
    MERGE_TRACKS(tracked, 'bedGraph.gz')
}
