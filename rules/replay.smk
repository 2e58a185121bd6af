# Replays: recorded curves are read once, then one job plays all methods and repeats of an experiment on them.

CURVES = {data.key: data for data in SETS if data.curves is not None}


rule curves:
    input:
        lambda w: recorded_in(CURVES[w.key].curves),
    output:
        directory(f"{RESULTS}/data/{{key}}"),
    log:
        f"{RESULTS}/data/logs/{{key}}.log",
    benchmark:
        f"{RESULTS}/data/logs/{{key}}.tsv"
    wildcard_constraints:
        key="|".join(map(re.escape, CURVES)) or "(?!)",
    localrule: True
    conda:
        "../envs/hypercurve.yaml"
    params:
        path=lambda w: CURVES[w.key].curves,
        metric=lambda w: f"--metric {quote(CURVES[w.key].metric)}" if CURVES[w.key].metric else "",
    shell:
        "hypercurve curves {params.path:q} {params.metric} --output {output:q} > {log:q} 2>&1"


rule replay:
    input:
        experiment=rules.experiment.output,
        settings=lambda w: expand(rules.setting.output, method=experiment_of(w).methods, allow_missing=True),
        data=data_folder,
        records=lambda w: flatten(
            recorded_in(path) for method in experiment_of(w).methods.values() for path in method.record
        ),
    output:
        table=report(
            f"{RESULTS}/{{experiment}}/replay.csv",
            caption="captions/replay.rst",
            category="{experiment}",
            subcategory="tables",
            labels={"result": "cost and regret"},
        ),
        others=multiext(f"{RESULTS}/{{experiment}}/", "costs.csv", "vary.csv", "runs.csv"),
    log:
        f"{RESULTS}/{{experiment}}/logs/replay.log",
    benchmark:
        f"{RESULTS}/{{experiment}}/logs/replay.tsv"
    conda:
        "../envs/hypercurve.yaml"
    threads: 4
    params:
        own=own_code,
        code=ANALYSIS,
        results=lambda w, input: Path(str(input.experiment)).parent,
    shell:
        "hypercurve replay {input.data:q} --experiment {input.experiment:q} --journals --jobs {threads}"
        " --output {params.results:q} > {log:q} 2>&1"
