"""A run: its configuration, the loop, and the front door `discover`."""

from glo.run.config import PRESETS, RunConfig, TaskConfig, compose, training_config
from glo.run.discover import (
    choose_device,
    default_name,
    discover,
    recorded_discovery,
    resume_run,
    run_states,
)
from glo.run.discovery import Discovery, funnel_table, hardware, versions
from glo.run.loop import asked_digest, run_loop

__all__ = [
    "PRESETS", "Discovery", "RunConfig", "TaskConfig", "asked_digest", "choose_device", "compose", "default_name",
    "discover", "funnel_table", "hardware", "recorded_discovery", "resume_run", "run_loop", "run_states",
    "training_config", "versions",
]  # fmt: skip
