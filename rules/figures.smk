# Figures, each a job of its own, the report that holds them, and one page over all reports.


rule figure:
    input:
        experiment=rules.experiment.output,
        journals=lambda w: runs_of(w.experiment),
        retrained=lambda w: retrained_of(w.experiment) if w.figure == "retrained" else [],
    output:
        svg=report(
            f"{RESULTS}/{{experiment}}/figures/{{figure}}.svg",
            caption="captions/figure.rst",
            category="{experiment}",
            subcategory="figures",
            labels={"result": "{figure}"},
        ),
        png=f"{RESULTS}/{{experiment}}/figures/{{figure}}.png",
    log:
        f"{RESULTS}/{{experiment}}/logs/figure-{{figure}}.log",
    benchmark:
        f"{RESULTS}/{{experiment}}/logs/figure-{{figure}}.tsv"
    conda:
        "../envs/hypercurve.yaml"
    params:
        code=ANALYSIS,
        results=lambda w, input: Path(str(input.experiment)).parent,
    shell:
        "hypercurve figure {params.results:q} {wildcards.figure} --output {output.svg:q} > {log:q} 2>&1"


rule report:
    input:
        captions=expand(
            f"{CAPTIONS}/{{name}}.rst",
            name=["table", "replay", "report"],
        ),
        experiment=rules.experiment.output,
        journals=lambda w: runs_of(w.experiment),
        trials=lambda w: runs_of(w.experiment, "trials.csv"),
        members=lambda w: members_of(w.experiment),
        tables=lambda w: tables_of(w.experiment),
        figures=lambda w: expand(
            rules.figure.output.svg,
            figure=figures_of(w.experiment),
            allow_missing=True,
        ),
    output:
        report(
            f"{RESULTS}/{{experiment}}/report.html",
            caption="captions/report.rst",
            category="{experiment}",
            subcategory="report",
            labels={"result": "report"},
        ),
    log:
        f"{RESULTS}/{{experiment}}/logs/report.log",
    benchmark:
        f"{RESULTS}/{{experiment}}/logs/report.tsv"
    conda:
        "../envs/hypercurve.yaml"
    params:
        code=ANALYSIS,
        results=lambda w, input: Path(str(input.experiment)).parent,
    shell:
        "hypercurve report {params.results:q} --output {output:q} > {log:q} 2>&1"


rule overview:
    input:
        experiments=expand(rules.experiment.output, experiment=WORKFLOW.experiments),
        comparisons=expand(rules.compare.output, experiment=WORKFLOW.experiments, table="comparison"),
        reports=expand(rules.report.output, experiment=WORKFLOW.experiments),
    output:
        report(
            f"{RESULTS}/report.html",
            caption="captions/overview.rst",
            category="all experiments",
            labels={"result": "overview"},
        ),
    log:
        f"{RESULTS}/logs/overview.log",
    benchmark:
        f"{RESULTS}/logs/overview.tsv"
    localrule: True
    conda:
        "../envs/hypercurve.yaml"
    params:
        code=ANALYSIS,
        results=lambda w, input: [Path(str(path)).parent for path in input.reports],
    shell:
        "hypercurve overview {params.results:q} --output {output:q} > {log:q} 2>&1"
