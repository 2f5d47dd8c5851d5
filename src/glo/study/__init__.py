"""A run: its configuration, the loop, and the front door `discover`."""

from glo.study.config import PRESETS, RunConfig, TaskConfig, compose, training_config
from glo.study.loop import asked_digest, run_loop
from glo.study.result import Discovery, funnel_table, hardware, versions
from glo.study.study import (
    default_name,
    discover,
    enumerate_losses,
    recorded_discovery,
    resume_run,
    run_states,
    short_name,
    tune_coefficients,
)
from glo.training import choose_device

__all__ = [
    "PRESETS", "Discovery", "RunConfig", "TaskConfig", "asked_digest", "choose_device", "compose", "default_name",
    "discover", "enumerate_losses", "funnel_table", "hardware", "recorded_discovery", "resume_run", "run_loop",
    "run_states", "short_name", "training_config", "tune_coefficients", "versions",
]  # fmt: skip
