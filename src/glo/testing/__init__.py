"""Contract suites for extensions: subclass one, say how yours is made, and run it with pytest.

    class TestMyExecutor(glo.testing.ExecutorContract):
        def make(self):
            return MyExecutor()

They need pytest, and SearchContract and StoreContract need hypothesis: `pip install pytest hypothesis`.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
