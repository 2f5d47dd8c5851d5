"""docs/evidence.md, made of the numbers alone: `python -m benchmarks.evidence.page` writes it again."""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.evidence.claims import (
    LEVEL,
    STRICT,
    Claim,
    Outcome,
    claims,
    median_ratios,
    pooled_optimism,
    reached,
    rivals_of,
    target_of,
)
from benchmarks.evidence.texts import HEAD, LIMITS, OPTIMISM, RULES, TIMES, TRIAL
from glo.report import write_text

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "evidence.md"
PUBLISHED = "small"  # the scale of the numbers that count; a smaller one only shows what the page will say
NOT_SHOWN = 1.64  # standard errors: the one-sided 5 % of the normal distribution
GOAL_WINS, GOAL_STEPS, GOAL_SECONDS = 4, 1 / 5, 1 / 4
# The description of a task's data names the sha256 of its images; what is known of these images is said beside it.
JPEG = {"07c4afcf4129d445": "JPEG copies of quality 75: accuracies are close to those of the official images, not equal"}


def page(results: Mapping[str, Any]) -> str:
    """The page as Markdown."""
    found = claims(results["problems"])
    trial = [] if results["scale"] == PUBLISHED else [TRIAL.format(scale=results["scale"])]
    return "\n".join([HEAD, *trial, *(_section(title, text) for title, text in _sections(results, found) if text)])


def published() -> Path | None:
    """The numbers that docs/evidence.md is made of: those of the scale that counts, else of a trial; None without any."""
    return next((path for scale in (PUBLISHED, "tiny") if (path := results_file(scale)).exists()), None)


def results_file(scale: str) -> Path:
    """Where the numbers of a scale are published."""
    return RESULTS / f"evidence-{scale}.json"


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n{text.rstrip()}\n"


def _sections(results: Mapping[str, Any], found: Sequence[Claim]) -> Iterable[tuple[str, str]]:
    yield "Goals", _goals(results, found)
    yield "Wins, ties and losses", _problems(found)
    yield "Is the reported fitness flattered?", _optimism(found)
    yield "Time to quality", _races(results["races"])
    yield "The problems", _descriptions(results["problems"])
    yield "What this does not show", LIMITS
    yield "Where the numbers are from", _provenance(results)


def _goals(results: Mapping[str, Any], found: Sequence[Claim]) -> str:
    rows: list[list[str]] = []
    if found:
        strict = sum(claim.outcome is Outcome.WIN and claim.p_holm < STRICT for claim in found)
        behind = sum(claim.outcome in (Outcome.LOSS, Outcome.ERROR) for claim in found)
        measured = [claim.problem["reported"]["confirmed"] for claim in found if "reported" in claim.problem]
        within = sum(abs(each["optimism"]) <= each["error"] for each in measured)
        pooled = pooled_optimism(measured)
        rows += [
            [
                f"better than the whole shelf, p < {STRICT:g} by Holm", f"≥ {GOAL_WINS}", f"{strict} of {len(found)}",
                _met(strict >= GOAL_WINS),
            ],
            ["worse than the shelf, or an error", "0", f"{behind} of {len(found)}", _met(behind == 0)],
            ["reported fitness not flattered: all problems together, in standard errors", f"≤ {NOT_SHOWN} (p = 0.05)",
             f"{pooled:+.2f}; within one on {within} of {len(measured)}", _met(pooled <= NOT_SHOWN)],
        ]  # fmt: skip
    for name, races in _by_race(results["races"]).items():
        seconds, steps = median_ratios(races)
        rows += [
            [f"{what} to the target, new / old, {name}", f"≤ {goal:.2f}", _ratio(measured), _met(measured <= goal)]
            for what, measured, goal in (("steps", steps, GOAL_STEPS), ("seconds", seconds, GOAL_SECONDS))
        ]
    return _table(["what", "goal", "measured", ""], rows)


def _met(met: bool) -> str:
    return "met" if met else "missed"


def _problems(found: Sequence[Claim]) -> str:
    if not found:
        return ""
    counts = Counter(claim.outcome for claim in found)
    total = ", ".join(f"{word}: {counts[outcome]}" for outcome, word in _PLURALS.items())
    header = ["problem", "", "test metric", "discovered", "best known on validation", "gain", "p, shelf", "p, Holm"]
    table = _table(header, [_row(claim) for claim in found])
    return "\n\n".join(
        [f"**{total[0].upper()}{total[1:]}.** Failures first.", table, RULES.format(level=LEVEL), _details(found)]
    )


_PLURALS = {Outcome.ERROR: "errors", Outcome.LOSS: "losses", Outcome.TIE: "ties", Outcome.WIN: "wins"}


def _row(claim: Claim) -> list[str]:
    problem = claim.problem
    if claim.outcome is Outcome.ERROR:
        return [problem["problem"], "error", problem["metric"], "", "", "", "", ""]
    losses, gain = problem["losses"], rivals_of(problem)[claim.rival]
    metric = problem["metric"] + " (lower is better)" * (problem["direction"] == "minimize")
    return [
        problem["problem"],
        claim.outcome.name.lower(),
        metric,
        _measured(losses["discovered"]),
        f"{_known(problem, claim.rival)}: {_measured(losses[claim.rival])}",
        f"{gain['difference']:+.4f} ({gain['low']:+.4f} to {gain['high']:+.4f})",
        _p(claim.p_shelf),
        _p(claim.p_holm),
    ]


def _known(problem: Mapping[str, Any], name: str) -> str:
    return f"{name} {problem['losses'][name]['variant']}".strip()


def _measured(row: Mapping[str, Any]) -> str:
    return f"{row['mean']:.4f} ± {row['sd']:.4f}"


def _p(value: float) -> str:
    return "1" if value == 1 else f"{value:.1e}" if value < 0.001 else f"{value:.3f}"


def _details(found: Sequence[Claim]) -> str:
    """What each search found and what its verdict said."""
    lines: list[str] = []
    for claim in found:
        problem = claim.problem
        if claim.outcome is Outcome.ERROR:
            lines.append(f"- **{problem['problem']}**: {problem.get('error') or problem['text']}")
            continue
        discovered = problem["losses"]["discovered"]
        worse = f" Worse than {', '.join(_known(problem, name) for name in claim.worse_than)}." if claim.worse_than else ""
        notes = " ".join(f"{note[0].upper()}{note[1:].rstrip('.')}." for note in problem["notes"])
        lines.append(
            f"- **{problem['problem']}**, f = `{discovered['expression']}` at rate {discovered['learning_rate']:g}.{worse} "
            f"Verdict of `glo search`: {problem['text']} {notes}".rstrip()
        )
    return "\n".join(lines)


def _optimism(found: Sequence[Claim]) -> str:
    measured = [claim.problem for claim in found if "reported" in claim.problem]
    if not measured:
        return ""
    first = measured[0]["reported"]["confirmed"]
    rows = [
        [each["problem"], *(_flattered(each["reported"][kind]) for kind in ("confirmed", "single"))] for each in measured
    ]
    table = _table(["problem", "confirmed", "best single training"], rows)
    return f"{OPTIMISM.format(n=first['n'], seeds=first['seeds'])}\n\n{table}"


def _flattered(reported: Mapping[str, Any]) -> str:
    return f"{reported['fitness']:.4f} − {reported['fresh']:.4f} = {reported['optimism']:+.4f} ± {reported['error']:.4f}"


def _by_race(races: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    return {name: [each for each in races if each["race"] == name] for name in dict.fromkeys(r["race"] for r in races)}


def _races(races: Sequence[Mapping[str, Any]]) -> str:
    if not races:
        return ""
    header = [
        "task", "seed", "target", "old: seconds (of)", "new: seconds (of)", "ratio", "old: steps (of)", "new: steps (of)",
        "ratio", "new result",
    ]  # fmt: skip
    rows: list[list[str]] = []
    for name, of_name in _by_race(races).items():
        rows += [_race_row(each) for each in of_name]
        seconds, steps = median_ratios(of_name)
        rows.append([f"**{name}**", "median", "", "", "", f"**{_ratio(seconds)}**", "", "", f"**{_ratio(steps)}**", ""])
    first = races[0]
    n = len(next(iter(first["confirmed"].values()))["values"])
    return f"{TIMES.format(old=first['old_commit'][:7], n=n)}\n\n{_table(header, rows)}"


def _race_row(race: Mapping[str, Any]) -> list[str]:
    target, confirmed = target_of(race), race["confirmed"]
    old, new = (reached(race[which], confirmed, target) for which in ("old", "new"))
    ends = {which: race[which]["points"][-1] for which in ("old", "new")}
    return [
        race["race"],
        str(race["seed"]),
        f"{target:.4f}",
        f"{old.seconds:.1f} ({ends['old']['seconds']:.1f})",
        f"{_or_never(new.seconds, '{:.1f}')} ({ends['new']['seconds']:.1f})",
        _ratio(new.seconds / old.seconds),
        f"{old.steps:,} ({ends['old']['steps']:,})",
        f"{_or_never(new.steps, '{:,}')} ({ends['new']['steps']:,})",
        _ratio(new.steps / old.steps),
        _measured(confirmed[ends["new"]["expression"]]),
    ]


def _or_never(value: float, form: str) -> str:
    return "never" if math.isinf(value) else form.format(value)


def _ratio(value: float) -> str:
    return _or_never(value, "{:.2f}")


def _descriptions(problems: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            each["problem"],
            each["what"] + "".join(f"; searched with `--set '{setting}'`" for setting in each["settings"]),
            " / ".join(f"{each['samples'][split]:,}" for split in ("train", "validation", "test")),
            each["network"],
            str(each.get("steps", "")),
        ]
        for each in problems
    ]
    return _table(["problem", "what", "train / validation / test", "network", "steps"], rows) if rows else ""


def _provenance(results: Mapping[str, Any]) -> str:
    machine = results["hardware"]
    sources = dict.fromkeys(each["data"] for each in results["problems"])
    loads = [each["load"] for each in results["races"] if each["load"] is not None]
    seconds = sum(sum(each.get("seconds", {}).values()) for each in results["problems"])
    name = results_file(results["scale"]).name
    lines = [
        f"- `{results['command']}`, glo {results['versions']['glo']} at {results['commit'] or 'no commit'}; all numbers are "
        f"in [{name}](../benchmarks/results/{name})",
        f"- PyTorch {results['versions']['torch']}, {machine['cores']} cores, {machine['threads']} threads, finished "
        f"{results['finished']}; searches and verdicts took {seconds:.0f} s",
        *(f"- Data: {source}{_copies(source)}" for source in sources),
    ]
    if loads:
        lines.append(
            f"- Load average of the machine at the begin of the timed searches: {min(loads):.1f} to {max(loads):.1f}"
        )
    return "\n".join(lines)


def _copies(source: str) -> str:
    return "".join(f" ({what})" for sha, what in JPEG.items() if sha in source)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


if __name__ == "__main__":
    numbers = published()
    if numbers is None:
        sys.exit("no numbers are published yet: python -m benchmarks.evidence --publish")
    write_text(PAGE, page(json.loads(numbers.read_text(encoding="utf-8"))))
