"""The store that a killed run resumes from."""

from glo.store.store import DEFAULT_STORAGE, GenerationRecord, RunRecord, Store, check_name

__all__ = ["DEFAULT_STORAGE", "GenerationRecord", "RunRecord", "Store", "check_name"]
