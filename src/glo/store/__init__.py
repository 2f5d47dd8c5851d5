"""The store: the records of runs, from which a killed run is resumed, and a cache of outcomes that all runs share."""

from glo.store.database import Store, check_name
from glo.store.rows import GenerationRecord, RunRecord
from glo.store.url import DEFAULT_STORAGE, without_password

__all__ = ["DEFAULT_STORAGE", "GenerationRecord", "RunRecord", "Store", "check_name", "without_password"]
