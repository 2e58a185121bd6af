# A run's journal: from recorded batches where there are some, else from one process that trains, a whole population too.


rule record:
    input:
        setting=rules.setting.output,
        recorded=lambda w: flatten(recorded_in(path) for path in setting_of(w).record),
    output:
        f"{RESULTS}/{{experiment}}/runs/{{method}}/record.json",
    log:
        f"{RESULTS}/{{experiment}}/logs/{{method}}/record.log",
    benchmark:
        f"{RESULTS}/{{experiment}}/logs/{{method}}/record.tsv"
    wildcard_constraints:
        experiment=only(lambda method: method.record),
    localrule: True
    conda:
        "../envs/hypercurve.yaml"
    shell:
        "hypercurve record {input.setting:q} --output {output:q} > {log:q} 2>&1"


rule search:
    input:
        setting=rules.setting.output,
        data=data_folder,
        record=record_of,
        batches=recorded,
    output:
        f"{RUN}/journal.jsonl",
    log:
        f"{LOG}/search.log",
    benchmark:
        f"{LOG}/search.tsv"
    wildcard_constraints:
        experiment=only(lambda method: method.processes == 1 and not method.workers),
    conda:
        "../envs/hypercurve.yaml"
    threads: lambda w: experiment_of(w).training.threads
    resources:
        gpu=gpus_of,
    params:
        own=own_code,
        data=training_data,
        record=recording,
        keeping=keeping,
    shell:
        "hypercurve search {input.setting:q} --repeat {wildcards.repeat} {params.data}"
        " --output {output:q} {params.record} {params.keeping} > {log:q} 2>&1"
