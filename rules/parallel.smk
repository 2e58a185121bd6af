# Runs that several MPI processes carry out together: searches with a supervisor and workers, and populations. A profile
# changes the launcher, for instance to `srun --mpi=pmix`. A run of one process is an ordinary search (search.smk). srun takes
# the threads of a process from SRUN_CPUS_PER_TASK, not from its job. A launcher starts outside of any container, and each process
# enters it by itself (WITHIN).


# What a killed mpiexec leaves in the temporary folder refuses a later one that happens to get its process number: each gets a
# folder of its own.
OWN_TMP = (
    "export PRTE_MCA_prte_tmpdir_base=$(mktemp -d); "
    "trap 'rmdir \"$PRTE_MCA_prte_tmpdir_base\" 2> /dev/null || true' EXIT; "
)


rule preflight:
    """Whether the launcher, the MPI library and the largest number of processes of an experiment fit together."""
    output:
        f"{RESULTS}/{{experiment}}/preflight.json",
    log:
        f"{RESULTS}/{{experiment}}/logs/preflight.log",
    benchmark:
        f"{RESULTS}/{{experiment}}/logs/preflight.tsv"
    retries: 0
    conda:
        "../envs/hypercurve.yaml"
    container:
        None
    resources:
        tasks=lambda w: max(method.processes for method in experiment_of(w).methods.values()),
        mpi="mpiexec",
    # No parameters: with a changed one, Snakemake makes this again and forgets, until it is called again, the runs that are
    # missing and depend on this by `ancient` (its issue 4166). Runs check their own number when they start.
    shell:
        "hypercurve preflight --launcher {resources.mpi:q}"
        + (f" --within {quote(WITHIN)}" if WITHIN else "")
        + " --tasks {resources.tasks} --output {output:q} > {log:q} 2>&1"


rule parallel_search:
    input:
        setting=rules.setting.output,
        data=data_folder,
        record=record_of,
        preflight=ancient(rules.preflight.output),
    output:
        f"{RUN}/journal.jsonl",
    log:
        f"{LOG}/search.log",
    benchmark:
        f"{LOG}/search.tsv"
    wildcard_constraints:
        experiment=only(lambda method: method.processes > 1),
    conda:
        "../envs/hypercurve.yaml"
    container:
        None
    threads: lambda w: experiment_of(w).training.threads
    resources:
        tasks=tasks_of,
        mpi="mpiexec",
        gpu=gpus_of,
        tasks_per_gpu=0,  # said by no option: Slurm's plugin would take `tasks`
        processes=started,  # no parameter: another number of processes outdates nothing
    params:
        own=own_code,
        data=training_data,
        record=recording,
        keeping=keeping,
    shell:
        OWN_TMP
        + "HYPERCURVE_LAUNCHER={resources.mpi:q} SRUN_CPUS_PER_TASK={threads} {resources.mpi} -n {resources.processes} "
        + WITHIN
        + "hypercurve search {input.setting:q} --repeat {wildcards.repeat}"
        " {params.data} --tasks {resources.processes} --output {output:q} {params.record} {params.keeping} > {log:q} 2>&1"
