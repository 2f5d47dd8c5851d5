"""The store: the records of studies, from which a killed one is resumed, and a cache of outcomes that all share."""

from glo.store.database import Store, check_name
from glo.store.rows import GenerationRecord, StudyRecord
from glo.store.url import DEFAULT_STORAGE, without_password
from glo.store.whole import WholeStudy

__all__ = ["DEFAULT_STORAGE", "GenerationRecord", "Store", "StudyRecord", "WholeStudy", "check_name", "without_password"]
