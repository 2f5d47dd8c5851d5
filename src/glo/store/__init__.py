"""The store that a killed run resumes from, and that runs share what they learn in."""

from glo.store.database import Store, check_name
from glo.store.rows import GenerationRecord, RunRecord
from glo.store.url import DEFAULT_STORAGE, without_password

__all__ = ["DEFAULT_STORAGE", "GenerationRecord", "RunRecord", "Store", "check_name", "without_password"]
