"""`glo report`: a study as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from glo.cli import comparing, options
from glo.cli.comparing import Baselines
from glo.cli.judging import Judging
from glo.cli.launch import Where, refuse_given
from glo.cli.output import check_output, command_line, progress_of, resumable
from glo.cli.streams import print_json, say


def report(
    name: Annotated[str, typer.Argument(metavar="STUDY", help="Name of the study (see: glo runs).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")] = Path("report.html"),
    judge: Annotated[bool, typer.Option("--judge", help="First compare the best loss with the known ones on test.")] = False,
    storage: options.Storage = options.DEFAULT_STORAGE,
    task: options.RecordedTaskName = None,
    data_dir: options.DataDir = None,
    device: options.Device = "auto",
    cluster: options.Cluster = None,
    insecure: options.Insecure = False,
    time_limit: options.TimeLimit = None,
    baselines: comparing.Judged = Baselines.shelf,
    repeats: Annotated[int, typer.Option(min=2, help="With --judge: fresh seeds of the measurement on test.")] = 10,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Write a study as one HTML file, to look at and to send: it needs no network and nothing beside it.

    It has the verdict, the loss with the code that uses it, its curves, the comparison with every seed, the progress, and
    all candidates in a table that sorts and filters.  A search is judged at its end, which is recorded; --judge judges a
    study that is not, or again.
    """
    from glo.errors import ConfigError
    from glo.study.reporting import recorded_content, write_report

    check_output(output)
    if judge and baselines is Baselines.none:
        raise ConfigError("--judge needs something to compare with: leave out --baselines none")
    where = Where(device, cluster, insecure, None, time_limit, data_dir)
    if not judge:
        refuse_given("without --judge", task=task, cluster=cluster, data_dir=data_dir, time_limit=time_limit)
    else:
        from glo.study import load_study

        study = load_study(name, storage, task=task, progress=progress_of(quiet), **where.of_study())
        again = command_line("glo report", name, output=output, judge=True, storage=storage, **where.options())
        judging = Judging(baselines, repeats)
        with resumable(lambda: again):
            study.judge(judging.config)
    content = recorded_content(storage, name)
    path, judgement = write_report(content, output), content.judgement
    if json:
        print_json({"name": name, "report": str(path), "verdict": judgement and judgement["verdict"]})
        return
    if judgement is not None:
        say(judgement["verdict"]["text"])
    say(f"Written to {path}: open it in a browser.")
