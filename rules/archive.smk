# The archive: an experiment's results in one file that anyone can check and run again.

from hypercurve.util.provenance import source_digest


rule archive:
    input:
        report=rules.report.output,
        experiment=rules.experiment.output,
        settings=lambda w: expand(
            rules.setting.output,
            method=experiment_of(w).methods,
            allow_missing=True,
        ),
        journals=lambda w: runs_of(w.experiment),
        trials=lambda w: runs_of(w.experiment, "trials.csv"),
        members=lambda w: members_of(w.experiment),
        tables=lambda w: tables_of(w.experiment),
        figures=lambda w: expand(
            rules.figure.output,
            figure=figures_of(w.experiment),
            allow_missing=True,
        ),
        data=data_folder,
    output:
        f"{RESULTS}/{{experiment}}.tar.gz",
    log:
        f"{RESULTS}/{{experiment}}/logs/archive.log",
    benchmark:
        f"{RESULTS}/{{experiment}}/logs/archive.tsv"
    conda:
        "../envs/hypercurve.yaml"
    params:
        # of every file, since the archive names them all
        code=source_digest(),
        data=training_data,
        results=lambda w, input: Path(str(input.experiment)).parent,
    shell:
        "hypercurve archive {params.results:q} {params.data} --output {output:q} > {log:q} 2>&1"
