# A run's journal: from recorded batches where there are some, else from one process that trains.


rule search:
    input:
        setting=rules.setting.output,
        data=data_folder,
        batches=recorded,
    output:
        f"{RUN}/journal.jsonl",
    log:
        f"{LOG}/search.log",
    benchmark:
        f"{LOG}/search.tsv"
    wildcard_constraints:
        experiment=only(lambda method: method.tasks is None and method.population is None),
    conda:
        "../envs/hypercurve.yaml"
    threads: lambda w: experiment_of(w).training.threads
    params:
        code=CODE["runs"],
        gather=gathering,
    shell:
        "hypercurve search {input.setting:q} --repeat {wildcards.repeat} --data {input.data:q}"
        " --output {output:q} {params.gather} > {log:q} 2>&1"
