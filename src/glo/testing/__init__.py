"""Contract suites for extensions: subclass one, say how yours is made, and run it with pytest.

    class TestMyExecutor(glo.testing.ExecutorContract):
        def make(self):
            return MyExecutor()

They need pytest, and StoreContract needs hypothesis: `pip install pytest hypothesis`.
"""

from contextlib import suppress

import lazy_loader as lazy

with suppress(ImportError):
    import pytest

    # So that a failing assertion shows its values, as in a test file.
    pytest.register_assert_rewrite(
        *(f"glo.testing.{name}" for name in ("executor", "search", "store", "store_processes", "store_whole"))
    )

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
