"""`glo demo`: the whole story in a few minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from glo.cli import options
from glo.cli.launch import chosen_cluster
from glo.cli.output import command_line, print_table, progress_of, resumable
from glo.cli.streams import print_json, say


def demo(
    seed: options.Seed = 0,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("glo-demo"),
    generations: Annotated[int, typer.Option(min=1, help="Generations of the search.")] = 15,
    population: Annotated[int, typer.Option(min=2, help="Candidates in each generation.")] = 40,
    steps: Annotated[int, typer.Option(min=1, help="Training steps for each network.")] = 600,
    repeats: Annotated[int, typer.Option(min=2, help="Fresh seeds of the final comparison.")] = 10,
    cluster: options.Cluster = None,
    insecure: options.Insecure = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Discover a loss for digits with 40 % wrong labels, and compare it honestly.

    Needs no data and no network.  It is compared with cross-entropy and the published losses of the shelf, each at its own
    best learning rate and parameters.  It ends with the verdict, and the path of a report to open in a browser.
    """
    from glo.cli.demo_story import DemoConfig, run_demo

    config = DemoConfig(seed=seed, generations=generations, population=population, steps=steps, repeats=repeats)
    again = command_line(
        "glo demo", seed=seed, out=out, generations=generations, population=population, steps=steps, repeats=repeats,
        cluster=cluster, insecure=insecure,
    )  # fmt: skip
    chosen = chosen_cluster(cluster, insecure)
    with resumable(lambda: again), progress_of(quiet) as progress:
        result = run_demo(config, out, progress, chosen)
    summary = result.summary
    if json:
        print_json(summary)
        return
    from glo.compare.tables import comparison_table
    from glo.report import funnel_counts_table

    print_table(funnel_counts_table(summary["funnel"], found=summary["fitness"] is not None))
    print_table(comparison_table(result.rows, "accuracy"))
    seconds = ", ".join(f"{phase} {value:.0f} s" for phase, value in summary["seconds"].items())
    say(f"{seconds}. Written to {out}/: summary.json, loss.png, progress.png, report.html")
    say(summary["verdict"]["text"])
    say(f"To see all of it, open {out / 'report.html'} in a browser.")
