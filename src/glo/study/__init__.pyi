from .callbacks import Callback
from .composing import PRESETS, compose, read_settings
from .config import StudyConfig, TaskConfig
from .history import asked_digest, funnel_table, rank
from .loop import Loop
from .names import default_name, short_name
from .record import recorded_result, study_states
from .result import FrozenTrial, StudyResult
from .shortcuts import discover, enumerate_losses, tune_coefficients
from .study import Study, load_study

__all__ = [
    "PRESETS", "Callback", "FrozenTrial", "Loop", "Study", "StudyConfig", "StudyResult", "TaskConfig", "asked_digest",
    "compose", "default_name", "discover", "enumerate_losses", "funnel_table", "load_study", "rank", "read_settings",
    "recorded_result", "short_name", "study_states", "tune_coefficients",
]  # fmt: skip
