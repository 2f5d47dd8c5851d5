"""The contract of every evaluator, for each of them."""

from __future__ import annotations

import functools

from contracts.evaluator_contract import SHORT, EvaluatorContract, digits
from glo.evaluation import Cached, Funnel, FunnelConfig, LocalEvaluator, no_lookup, probe_points
from glo.records import Link, StageCount, TrainingConfig

local = functools.partial(LocalEvaluator, digits(), SHORT, "cpu")


class TestLocalEvaluator(EvaluatorContract):
    """Training alone."""

    def make(self) -> LocalEvaluator:
        return local()


class TestLocalEvaluatorInChunks(EvaluatorContract):
    """With memory for a few networks at a time."""

    def make(self) -> LocalEvaluator:
        return LocalEvaluator(digits(), TrainingConfig.model_validate(SHORT.model_dump() | {"memory_mb": 1}))


class TestPaperFunnel(EvaluatorContract):
    """With structure and cache only, as in the paper."""

    def make(self) -> Funnel:
        return Funnel(digits(), SHORT, FunnelConfig(), local)


class TestFullFunnel(EvaluatorContract):
    """With every stage."""

    def make(self) -> Funnel:
        return Funnel(digits(), SHORT, FunnelConfig(derivative=True, descent=True), local)


class TestCached(EvaluatorContract):
    """With the cache alone in front."""

    def make(self) -> Cached:
        return Cached("context", no_lookup, local(), probe_points(Link.SOFTMAX, soft=False), StageCount())
