"""Job, Outcome, Status and the configuration of a training: frozen and small."""

from glo.records.config import Config, Link, Rate, TrainingConfig, digest, read_toml, validated
from glo.records.outcome import FunnelCounts, Job, Outcome, Phase, Stage, StageCount, Status, new_counts
from glo.records.seeds import derive_seed, derive_seeds, generator

__all__ = [
    "Config", "FunnelCounts", "Job", "Link", "Outcome", "Phase", "Rate", "Stage", "StageCount", "Status", "TrainingConfig",
    "derive_seed", "derive_seeds", "digest", "generator", "new_counts", "read_toml", "validated",
]  # fmt: skip
