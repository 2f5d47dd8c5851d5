from .executor import ExecutorContract
from .search import AdaptiveSearchContract, SearchContract
from .store import StoreContract

__all__ = ["AdaptiveSearchContract", "ExecutorContract", "SearchContract", "StoreContract"]
