"""docs/evidence.md, written from the JSON of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.evidence.judged import LEVEL, Found
from glo.compare.statistics import holm

BEYOND = 0.16  # the chance that a value is more than one standard error too high
WORDS = {"loss": "worse", "tie": "not told apart", "win": "**better**"}
HEAD = """\
# Evidence

Is a discovered loss better than everything that an expert would try? This page is written by `python -m
benchmarks.evidence` from [its JSON](../benchmarks/results/{file}); do not edit it.

Each problem is one search with the default options and its verdict, as `glo search` gives it: {population} candidates
in each of {generations} generations, small networks, the whole [shelf](guide/shelf.md) with its parameters, each loss
at its own best learning rate, {repeats} fresh seeds on the test split. *Better* means better than each loss of the
shelf, *worse* means worse than the one of them that validation prefers, both at p < {level} after Holm's correction
over the problems. The p-values count the error of the seeds and that of the test set. In the long tail the search may
use `prior` ([guide](guide/prior-and-progress.md)).
"""
OPTIMISM = """\
## Is the reported fitness flattered?

The fitness that a search reports is the mean of its confirmation, in which the best of three losses is chosen. Beside
it is what fresh seeds give the same loss at the same rate. It is flattered by more than its standard error on
{beyond} of {count} problems; {expected:.1f} are expected by chance if it is not flattered at all.
"""
QUALITY = """\
## Time to quality

The default options, and those before unit gradient and racing (six raw learning rates, each training whole, no
confirmation), one after the other on the same machine. The bar is the test metric of the old search's last best loss,
minus one standard error. A search reaches it when its best loss so far does; each of these losses is measured
afterwards with fresh seeds at its own best rate. Where both reach it, the new default takes {steps} of the steps and
{seconds} of the seconds (median of {count}). It does not reach the bar in {missed} of {all} searches. The last two
columns compare whole searches, the new one with its confirmation.
"""


def page(found: Mapping[str, Any], file: str) -> str:
    """The whole page."""
    problems = found["problems"]
    outcomes = outcomes_of(problems)
    size = found["size"]
    parts = [
        HEAD.format(
            file=file, level=LEVEL, repeats=size["repeats"], generations=size["generations"], population=size["population"]
        ),
        _summary(outcomes),
        _table(problems, outcomes),
        _losses(problems, outcomes),
        _optimism(problems),
    ]
    if found["quality"]:
        parts.append(_quality(found["quality"]))
    return "\n".join([*parts, _provenance(found)])


def outcomes_of(problems: Mapping[str, Found]) -> dict[str, str]:
    """For each problem "win", "tie" or "loss", the losses first, then the ties."""
    better = dict(zip(problems, holm([each["p_better"] for each in problems.values()]), strict=True))
    worse = dict(zip(problems, holm([each["p_worse"] for each in problems.values()]), strict=True))
    found = {name: "win" if better[name] < LEVEL else "loss" if worse[name] < LEVEL else "tie" for name in problems}
    return dict(sorted(found.items(), key=lambda item: list(WORDS).index(item[1])))


def _summary(outcomes: Mapping[str, str]) -> str:
    count = {word: list(outcomes.values()).count(word) for word in WORDS}
    return (
        f"**Of {len(outcomes)} problems, the discovered loss is worse than the best known loss on {count['loss']}, "
        f"not told apart from it on {count['tie']}, and better than the whole shelf on {count['win']}.**\n"
    )


def _table(problems: Mapping[str, Found], outcomes: Mapping[str, str]) -> str:
    rows = [
        [
            each["what"], each["metric"], _test(each, "discovered"), _named(each, each["rival"]), _test(each, each["rival"]),
            *_gain(each["gain"]), _test(each, next(iter(list(each["losses"])[1:]), None)), WORDS[outcome],
        ]
        for name, outcome in outcomes.items()
        for each in [problems[name]]
    ]  # fmt: skip
    header = [
        "problem", "metric", "discovered", "best known loss (by validation)", "its test", "gain", "95 % interval", "p",
        "standard loss", "verdict at 0.01",
    ]  # fmt: skip
    return _markdown(header, rows)


def _losses(problems: Mapping[str, Found], outcomes: Mapping[str, str]) -> str:
    rows = [
        [each["what"], f"`{each['losses']['discovered']['expression']}`", each["verdict"]["text"]]
        for each in (problems[name] for name in outcomes)
    ]
    head = "What `glo search` said, at p < 0.05 for the single problem:\n\n"
    return head + _markdown(["problem", "f(x, y)", "verdict"], rows)


def _optimism(problems: Mapping[str, Found]) -> str:
    each = [(problem["what"], problem["optimism"]) for problem in problems.values()]
    numbers = ("reported", "fresh", "flattered", "error")
    rows = [[what, *(f"{one[number]:.4f}" for number in numbers)] for what, one in each]
    beyond = sum(one["flattered"] > one["error"] for _, one in each)
    text = OPTIMISM.format(beyond=beyond, count=len(each), expected=BEYOND * len(each))
    return f"{text}\n{_markdown(['problem', 'reported', 'fresh seeds', 'flattered by', 'standard error'], rows)}"


def _quality(quality: Sequence[Found]) -> str:
    rows: list[list[str]] = []
    ratios: list[tuple[float, float]] = []
    for each in quality:
        old, new = each["reached"]["old"], each["reached"]["new"]
        both = (new["steps"] / old["steps"], new["seconds"] / old["seconds"]) if old and new else None
        ratios += [both] if both else []
        shown = [f"{ratio:.2f}" for ratio in both] if both else ["", ""]
        task = f"{each['task']}, seed {each['seed']}"
        rows.append([task, f"{each['bar']:.4f}", *_cost(old), *_cost(new), *shown, *_whole(each)])
    medians = [f"{median(column):.2f}" for column in zip(*ratios, strict=True)] or ["?", "?"]
    missed = sum(each["reached"]["new"] is None for each in quality)
    text = QUALITY.format(steps=medians[0], seconds=medians[1], count=len(ratios), missed=missed, all=len(quality))
    header = [
        "task", "bar", "old: steps", "old: s", "new: steps", "new: s", "steps", "seconds", "whole: steps", "whole: seconds",
    ]  # fmt: skip
    return f"{text}\n{_markdown(header, rows)}"


def _whole(each: Found) -> list[str]:
    old, new = (each["traces"][which][-1] for which in ("old", "new"))
    return [f"{new[key] / old[key]:.2f}" for key in ("steps", "seconds")]


def _cost(reached: Found | None) -> list[str]:
    return ["not reached", ""] if reached is None else [f"{reached['steps']:,}", f"{reached['seconds']:.1f}"]


def _test(each: Found, name: str | None) -> str:
    row = each["losses"].get(name) if name else None
    return "" if row is None else f"{row['mean']:.4f} ± {row['sd']:.4f}"


def _named(each: Found, name: str | None) -> str:
    return "" if name is None else f"{name} {each['losses'][name]['variant']}".strip()


def _gain(gain: Found | None) -> list[str]:
    if gain is None:
        return ["", "", ""]
    return [f"{gain['difference']:+.4f}", f"{gain['low']:+.4f} to {gain['high']:+.4f}", f"{gain['p_value']:.1e}"]


def _provenance(found: Mapping[str, Any]) -> str:
    where = ", ".join(f"{key} {value}" for key, value in {**found["hardware"], **found["versions"]}.items())
    when = f"at commit {found['commit']}, {found['date']}, {found['seconds']:.0f} s"
    return f"Measured with `{found['command']}` {when}: {where}.\n"


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines) + "\n"
