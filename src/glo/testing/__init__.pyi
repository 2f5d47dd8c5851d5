from .executor import ExecutorContract
from .search import SearchContract
from .store import StoreContract

__all__ = ["ExecutorContract", "SearchContract", "StoreContract"]
