import os

import pytest

from minvae_pyro.corpora.workers import Helpers, usual_workers
from minvae_pyro.errors import UserError


def test_work_that_kills_its_process_costs_nothing_else() -> None:
    helpers = Helpers(2)
    try:
        before = helpers.submit(abs, -1)
        deadly = helpers.submit(os._exit, 3)
        beside = [helpers.submit(pow, base, 2) for base in range(3)]
        assert before.result() == 1
        with pytest.raises(UserError, match="the process that worked on it died"):
            deadly.result()
        assert [one.result() for one in beside] == [0, 1, 4]
        assert helpers.submit(abs, -4).result() == 4
    finally:
        helpers.close()


def test_what_work_raises_is_raised_where_it_is_asked_for() -> None:
    helpers = Helpers(0)
    promise = helpers.submit(int, "three")
    assert not promise.done()
    with pytest.raises(ValueError, match="three"):
        promise.result()
    helpers.close()


def test_there_are_no_more_processes_than_work() -> None:
    assert Helpers(8, 3).workers == 3
    assert Helpers(8, 0).workers == 1
    assert Helpers(0, 3).workers == 0
    assert usual_workers() >= 1
    with pytest.raises(UserError, match="-1 workers"):
        Helpers(-1)
