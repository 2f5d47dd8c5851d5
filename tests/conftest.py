"""For the whole suite: the same Hypothesis examples on every run, without a time limit for one; one thread for PyTorch."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

settings.register_profile("glo", derandomize=True, deadline=None)
settings.load_profile("glo")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Two threads add in another order; and with one, nothing is trained in other processes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True, scope="session")
def own_list_of_trusted_modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Not that of the person who runs the tests; processes that tests start use it too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield
