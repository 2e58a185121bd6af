# Data sets, prepared once for all runs of all experiments that use them in the same way.

SETS = [experiment.data for experiment in EXPERIMENTS.values() if experiment.data is not None]
DATA = {data.key: data for data in SETS if data.curves is None}


rule data:
    input:
        # a file by path is an input, so that a changed file is prepared again; `local`, since no prefix of a module is its
        lambda w: local(DATA[w.key].path) if DATA[w.key].path else [],
    output:
        directory(f"{RESULTS}/data/{{key}}"),
    log:
        f"{RESULTS}/data/logs/{{key}}.log",
    benchmark:
        f"{RESULTS}/data/logs/{{key}}.tsv"
    wildcard_constraints:
        key="|".join(map(re.escape, DATA)) or "(?!)",
    conda:
        "../envs/hypercurve.yaml"
    params:
        source=lambda w: DATA[w.key].path or DATA[w.key].function or DATA[w.key].name,
        validation=lambda w: DATA[w.key].validation,
        seed=lambda w: DATA[w.key].seed,
        meaning=lambda w: data_meaning(DATA[w.key]),
        code=lambda w: data_code(DATA[w.key]),
    shell:
        # what was assumed of the data is said at once, not in the log alone
        "hypercurve data {params.source:q} --validation {params.validation} --seed {params.seed} {params.meaning}"
        " --output {output:q} > {log:q} 2>&1 && cat {log:q} >&2"
