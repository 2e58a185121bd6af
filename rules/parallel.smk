# Runs that several MPI processes carry out together: searches with a supervisor and workers, and populations. A profile
# changes the launcher, for instance to `srun --mpi=pmix`.


rule supervised:
    input:
        setting=rules.setting.output,
        data=data_folder,
        record=record_of,
    output:
        f"{RUN}/journal.jsonl",
    log:
        f"{LOG}/search.log",
    benchmark:
        f"{LOG}/search.tsv"
    wildcard_constraints:
        experiment=only(lambda method: method.tasks is not None and method.population is None),
    retries: 2
    conda:
        "../envs/hypercurve.yaml"
    threads: lambda w: experiment_of(w).training.threads
    resources:
        tasks=tasks_of,
        mpi="mpiexec",
    params:
        code=CODE["runs"],
        record=recording,
    shell:
        "{resources.mpi} -n {resources.tasks} hypercurve search {input.setting:q} --repeat {wildcards.repeat}"
        " --data {input.data:q} --tasks {resources.tasks} --output {output:q} {params.record} > {log:q} 2>&1"


rule population:
    input:
        setting=rules.setting.output,
        data=data_folder,
    output:
        f"{RUN}/journal.jsonl",
    log:
        f"{LOG}/population.log",
    benchmark:
        f"{LOG}/population.tsv"
    wildcard_constraints:
        experiment=only(lambda method: method.population is not None),
    retries: 2
    conda:
        "../envs/hypercurve.yaml"
    threads: lambda w: experiment_of(w).training.threads
    resources:
        tasks=tasks_of,
        mpi="mpiexec",
    params:
        code=CODE["runs"],
    shell:
        "{resources.mpi} -n {resources.tasks} hypercurve search {input.setting:q} --repeat {wildcards.repeat}"
        " --data {input.data:q} --tasks {resources.tasks} --output {output:q} > {log:q} 2>&1"
