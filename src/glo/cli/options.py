"""Options that several commands share, in the same words."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

Expression = Annotated[str, typer.Argument(metavar="EXPR", help="An expression such as 'x*log(y)', or a name: baikal.")]
OptionalExpression = Annotated[
    str | None, typer.Argument(metavar="[EXPR]", help="An expression such as 'x*log(y)', or a name: baikal.")
]
StudyName = Annotated[
    str | None, typer.Option("--study", help="Instead of EXPR: the best loss of this study (see: glo runs).")
]
ComparedStudy = Annotated[
    str | None,
    typer.Option(
        "--study", "--run", help="The best loss of this study (see: glo runs), on its task, trained as it was there."
    ),
]


class LinkName(StrEnum):
    """The links, named here so that --help needs no other import."""

    softmax = "softmax"
    sigmoid = "sigmoid"
    identity = "identity"
    regression = "regression"


OptionalLink = Annotated[
    LinkName | None,
    typer.Option(help="How outputs become predictions; by default softmax.  Regression is another name of identity."),
]
Preset = Annotated[str, typer.Option("--preset", "-p", help="default, or paper: the paper's method to the letter.")]
RunName = Annotated[
    str | None, typer.Option("--name", help="Name of the study; by default made of the task, what it does and the seed.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any other option, e.g. training.batch_size=50; may be repeated."),
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="TOML file with tables such as [genetic], [training], [funnel].")
]
LearningRates = Annotated[
    str | None,
    typer.Option("--learning-rates", "--learning-rate", metavar="R,R,...", help="Ladder of learning rates, or one rate."),
]
TaskName = Annotated[
    str, typer.Option("--task", "-t", help="A built-in task (see: glo tasks) or module:attribute of your own.")
]
SearchedTaskName = Annotated[
    str | None, typer.Option("--task", "-t", help="A built-in task (see: glo tasks) or module:attribute of your own.")
]
ObjectiveName = Annotated[
    str | None,
    typer.Option(metavar="MODULE:FUNCTION", help="Instead of --task: your own training loop, a function of a trial."),
]
Timeout = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="End the search with its confirmation within 90s, 30m or 2h, without survey and verdict; glo resume goes on.",
    ),
]
Metrics = Annotated[
    str | None,
    typer.Option(
        metavar="M,M,...",
        help="Also train the finalists once more, and show those that no other beats in all of these metrics.",
    ),
]
Jobs = Annotated[int, typer.Option(min=1, help="With --objective: trials under way at once, each in its own process.")]
Isolate = Annotated[
    bool, typer.Option("--isolate", help="With --objective: a single trial too in its own process, which can be killed.")
]
OptionalTaskName = Annotated[
    str | None,
    typer.Option("--task", "-t", help="A built-in task or module:attribute of your own; with --study, that which it names."),
]
RecordedTaskName = Annotated[
    str | None, typer.Option("--task", "-t", help="The module:attribute that the study names, if glo may import that.")
]
TrainingSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="An option of the training, e.g. training.momentum=0.9; may be repeated."
    ),
]
TrainingFile = Annotated[Path | None, typer.Option("--config", help="TOML file; only its table [training] is used.")]
TaskOptions = Annotated[
    list[str] | None, typer.Option("--task-option", metavar="KEY=VALUE", help="Option of the task, e.g. noise=0.2.")
]
DataDir = Annotated[Path | None, typer.Option(help="Folder of the task's data files (else $GLO_DATA, else the cache).")]
Device = Annotated[str, typer.Option(help="cpu, cuda, or auto: the GPU if there is one.")]
Cluster = Annotated[
    str | None,
    typer.Option(metavar="WHERE", help="Train on local:N, tls://HOST:PORT, ssh:HOSTS.txt, slurm, htcondor or FILE.toml."),
]
Insecure = Annotated[bool, typer.Option("--insecure", help="Let a cluster be plain text, on any network.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Do not show progress.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of everything random.")]
Slots = Annotated[
    int | None, typer.Option(min=1, help="With --steady-state: candidates under way at once; by default one for each core.")
]
TimeLimit = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS", help="Kill a training, or several that are trained together, after this time; by default an hour."
    ),
]
Steps = Annotated[int | None, typer.Option(min=1, help="Training steps for each network.")]
Storage = Annotated[str, typer.Option(help="The store: an SQLite file, or postgresql://USER@HOST/DATABASE.")]
StudyStorage = Annotated[
    str | None, typer.Option(help="With --study, the store: an SQLite file, or postgresql://USER@HOST/DATABASE.")
]
DEFAULT_STORAGE = "sqlite:///glo.db"
