"""A search says how it has made its candidates."""

from __future__ import annotations

import pytest

from glo.expr import parse
from glo.records import Origin, Outcome, Stage, Status
from glo.search import GeneticConfig, GeneticSearch, KnowsOrigins, Search, SteadyStateSearch

HOWS = {"given", "random", "crossover", "mutation", "crossover and mutation"}


def outcome(text: str) -> Outcome:
    return Outcome(text, text, Status.TRAINED, Stage.TRAINING, "", 1 / (1 + len(text)), 0.1)


@pytest.mark.parametrize("make", [GeneticSearch, SteadyStateSearch])
@pytest.mark.parametrize("viable", [False, True])
def test_every_candidate_has_an_origin_among_earlier_ones(make: type, viable: bool) -> None:
    config = GeneticConfig(population=20, start=("x*log(y)",), viable=viable, max_nodes=15)
    search: Search = make(config, 0, 8 if make is GeneticSearch else 160, lambda trees: [str(tree) for tree in trees])
    assert isinstance(search, KnowsOrigins)
    asked: list[str] = []
    seen: dict[str, Origin] = {}
    while not search.done:
        texts = [str(expression) for expression in search.ask()]
        for text in texts:
            origin = search.origin(parse(text))
            assert origin is not None
            assert seen.setdefault(text, origin) == origin  # the first one stays
            assert set(origin.parents) <= {*asked, *texts}
            assert len(origin.parents) == {"given": 0, "random": 0, "mutation": 1}.get(origin.how, 2)
        asked += texts
        search.tell([outcome(text) for text in texts])
    assert seen["x*log(y)"].how == "given"
    assert {origin.how for origin in seen.values()} == HOWS
    assert search.origin(parse("x*log(y)*12345")) is None
