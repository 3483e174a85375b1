import pytest

from pyro_vrnn.errors import TrackingError
from pyro_vrnn.tracking import PARENT, adopt, find_run, find_runs, set_aside


def test_a_run_under_a_parent(start, uri):
    parent = start(name="a parent")
    parent.finish()
    child = start(name="a child", parent="a parent", tags={"guide": "flow"})
    child.finish()
    assert find_run(child.id, uri=uri).tags[PARENT] == parent.id
    assert [run.id for run in find_runs("tests", uri=uri, tags={PARENT: parent.id})] == [child.id]
    assert [run.id for run in find_runs("tests", uri=uri, tags={PARENT: parent.id, "guide": "none"})] == []


def test_a_parent_of_another_experiment_is_refused(start):
    start(name="far", experiment="elsewhere").finish()
    with pytest.raises(TrackingError, match="pass --experiment elsewhere"):
        start(name="lost", parent="far")


def test_a_run_is_adopted_and_set_aside(start, uri):
    parent, child = start(name="p"), start(name="c")
    for run in (parent, child):
        run.finish()
    adopt(find_run(child.id, uri=uri), parent.id, {"axis": "1", "a b!": "2"})
    found = find_run(child.id, uri=uri)
    assert (found.tags[PARENT], found.tags["axis"], found.tags["a b_"]) == (parent.id, "1", "2")
    set_aside(found)
    assert child.id not in {run.id for run in find_runs("tests", uri=uri)}
