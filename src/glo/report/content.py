"""What the page of a study shows, as plain values: whoever has a study fills them in, and the page knows no other room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from glo.expr import Expr
from glo.records import Direction, Link, Origin, PhaseKind, Stage, Status
from glo.store import GenerationRecord


class Candidate(Protocol):
    """A candidate of a study; `glo.study.FrozenTrial` is one."""

    @property
    def number(self) -> int: ...
    @property
    def generation(self) -> int: ...
    @property
    def phase(self) -> PhaseKind: ...
    @property
    def expression(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def status(self) -> Status: ...
    @property
    def stage(self) -> Stage: ...
    @property
    def reason(self) -> str: ...
    @property
    def fitness(self) -> float: ...
    @property
    def learning_rate(self) -> float | None: ...


@dataclass(frozen=True)
class ShownLoss:
    """A loss to use, or to compare with.

    Attributes:
        name: e.g. "discovered", "cross_entropy".
        expression: as it is trained, with its scale.
        options: keyword arguments of `glo.ExpressionLoss`, with which it is computed.
        learning_rate: that suited it; None if it is not known.
        boosting: why it is no objective for gradient boosting; empty if it is one.
        hessian: that it needs there (`glo.objective`).
    """

    name: str
    expression: Expr
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    learning_rate: float | None = None
    boosting: str = ""
    hessian: str = "absolute"


@dataclass(frozen=True)
class StudyContent:
    """A study as its page shows it.

    Attributes:
        name, task, preset, seed, phases, objective, direction, link, classes: as it was configured.
        metric: its name; empty if it is not known.
        created: when it began; empty if that is not known.
        made: when the page was made.
        state: in a sentence, how far it is.
        seeds: over which the fitness of the best is averaged.
        history: its generations.
        candidates: all of them, in order.
        best: the best candidate; None if nothing could be trained.
        root: the expression of the best as the search made it: of tuned coefficients, what was tuned.
        origins: how the candidates were made, by expression, as far as that is known.
        front: the candidates that no other beats in both size and fitness.
        why_nothing: why nothing could be trained.
        use: the loss that the verdict recommends; without a verdict, the best.
        found: the loss that the study found; None if nothing could be trained.
        curves: the losses to draw, that which was found first.
        judgement: verdict and comparison, as JSON-like data (`glo.compare.Judgement.to_dict`); None if there is none.
        outdated: whether the study has gone on since it was judged.
        no_judgement: why there is none, and how to get one.
        funnel: the counts of each stage.
        config, versions, hardware: of the study; the hardware is that of the judgement.
        commands: to repeat it, and to go on: (text, command) pairs.
    """

    name: str
    task: str
    preset: str
    seed: int
    phases: Sequence[str]
    objective: bool
    direction: Direction
    metric: str
    link: Link
    classes: int
    created: str
    made: str
    state: str
    seeds: int
    history: Sequence[GenerationRecord]
    candidates: Sequence[Candidate]
    best: Candidate | None
    root: str
    origins: Mapping[str, Origin]
    front: Sequence[Candidate]
    why_nothing: str
    use: ShownLoss | None
    found: ShownLoss | None
    curves: Sequence[ShownLoss]
    judgement: Mapping[str, Any] | None
    outdated: bool
    no_judgement: str
    funnel: Mapping[str, Mapping[str, float]]
    config: Mapping[str, Any]
    versions: Mapping[str, str]
    hardware: Mapping[str, Any]
    commands: Sequence[tuple[str, str]]

    @property
    def fitness_label(self) -> str:
        """What a fitness is."""
        lower = ", lower is better" * (self.direction is Direction.MINIMIZE)
        return f"score{lower}" if self.objective else f"validation {self.metric or 'metric'}{lower}"
