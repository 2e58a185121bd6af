# Resolved settings stand beside the results. They are written from the rules' own parameters, so what is recorded is what
# Snakemake compared when it decided what to run.
rule experiment:
    output:
        f"{RESULTS}/{{experiment}}/experiment.json",
    log:
        f"{RESULTS}/{{experiment}}/logs/experiment.log",
    localrule: True
    conda:
        "../envs/hypercurve.yaml"
    params:
        resolved=lambda w: experiment_of(w).model_dump_json(),
    shell:
        "printf '%s' {params.resolved:q} | python -m json.tool --no-ensure-ascii --indent 2"
        " > {output:q}.part 2> {log:q} && mv {output:q}.part {output:q}"


rule setting:
    output:
        f"{RESULTS}/{{experiment}}/runs/{{method}}/setting.json",
    log:
        f"{RESULTS}/{{experiment}}/logs/{{method}}/setting.log",
    localrule: True
    conda:
        "../envs/hypercurve.yaml"
    params:
        resolved=lambda w: setting_of(w).model_dump_json(),
    shell:
        "printf '%s' {params.resolved:q} | python -m json.tool --no-ensure-ascii --indent 2"
        " > {output:q}.part 2> {log:q} && mv {output:q}.part {output:q}"
