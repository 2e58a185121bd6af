# A run's journal: from recorded batches where there are some, else from a search in one job.


def recorded(wildcards):
    return expand(
        RUN + "/batches/{batch}.jsonl",
        batch=range(batches_of(wildcards)),
        allow_missing=True,
    )


rule search:
    input:
        setting=rules.setting.output,
        data=data_folder,
        batches=recorded,
    output:
        RUN + "/journal.jsonl",
    log:
        LOG + "/search.log",
    benchmark:
        LOG + "/search.tsv"
    conda:
        "../envs/hypercurve.yaml"
    threads: lambda w: experiment_of(w).training.threads
    params:
        code=CODE["runs"],
        gather=lambda w, input: (
            ["--batches", *input.batches] if input.get("batches") else []
        ),
    shell:
        "hypercurve search {input.setting:q} --repeat {wildcards.repeat} --data {input.data:q}"
        " --output {output:q} {params.gather:q} > {log} 2>&1"
