"""Small frozen values that travel between rooms: configurations, jobs, trainings, outcomes and seeds."""

from glo.records.config import Config, validated
from glo.records.digest import digest
from glo.records.direction import Direction
from glo.records.funnel import PROPERTIES, FunnelConfig, Property
from glo.records.link import Link
from glo.records.origin import Origin
from glo.records.outcome import FunnelCounts, Job, Outcome, PhaseKind, Stage, StageCount, Status, new_counts
from glo.records.predicted import CONFIDENCES, CONFUSED, RESIDUAL_RANGE, RESIDUALS, Predicted, together
from glo.records.seeds import derive_seed, derive_seeds, generator
from glo.records.toml import read_toml
from glo.records.training import (
    ADAPTIVE_RATE,
    BINS,
    LATER_OPTIONS,
    Failure,
    Rate,
    Result,
    Training,
    TrainingConfig,
    TrainingResult,
)

__all__ = [
    "ADAPTIVE_RATE", "BINS", "CONFIDENCES", "CONFUSED", "LATER_OPTIONS", "PROPERTIES", "RESIDUALS", "RESIDUAL_RANGE",
    "Config", "Direction", "Failure", "FunnelConfig", "FunnelCounts", "Job", "Link", "Origin", "Outcome", "PhaseKind",
    "Predicted", "Property", "Rate", "Result", "Stage", "StageCount", "Status", "Training", "TrainingConfig",
    "TrainingResult", "derive_seed", "derive_seeds", "digest", "generator", "new_counts", "read_toml", "together",
    "validated",
]  # fmt: skip
