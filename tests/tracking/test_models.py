"""Models in MLflow's own format: one a run, linked with its metrics, delivered even if the store was away."""

import json

import pytest

from pyro_vrnn.errors import TrackingError
from pyro_vrnn.tracking import DatasetRecord, ModelRecord, deliver_run, fetch_model, register
from pyro_vrnn.tracking.destination import MlflowRun
from pyro_vrnn.tracking.outbox import Outbox

TEST = DatasetRecord("demo-test", "/corpora/demo", "abc", "test")


@pytest.fixture
def model(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "file").write_text("held")
    return ModelRecord(
        name="a/model.1",
        folder=str(tmp_path / "model"),
        loader="no_such_module",  # what only loads files must not need it
        requirements=["pyro-vrnn"],
        inputs={"x": ("float32", (-1, 2))},
        outputs={"y": "double"},
        parameters={"seed": ("long", 3)},
        example={"x": [[1.0, 2.0]]},
        facts={"guide": "filtering"},
        tags={"seed": "0"},
        dataset=("demo-test", "abc"),
    )


def kept(client, run):
    """The one model of a run."""
    (linked,) = client.get_run(run.id).outputs.model_outputs
    return client.get_logged_model(linked.model_id)


def log(run):
    run.log(1, {"train/bound": 1.0})
    run.log(2, {"test/elbo": 5.0, "test/exact": float("-inf")})
    run.checkpointed(2)


def check(client, history, run):
    logged = kept(client, run)
    assert (logged.name, str(logged.status), logged.params) == ("a_model_1", "READY", {"guide": "filtering"})
    (metric,) = logged.metrics
    assert (metric.key, metric.value, metric.step, metric.dataset_name) == ("test/elbo", 5.0, 2, "demo-test")
    assert history(run.id, "test/elbo") == [(2, 5.0)]
    return logged


def test_a_run_has_one_model_with_its_metrics(start, client, history, model, uri):
    with start(datasets=[TEST]) as run:
        log(run)
        run.model(model, "test/")
        run.model(model, "test/")
    logged = check(client, history, run)
    assert (fetch_model(f"models:/{logged.model_id}", uri=uri) / "file").read_text() == "held"

    assert register(run.id, "of tests", uri=uri) == register(run.id, "of tests", uri=uri) == "models:/of tests/1"
    assert (fetch_model("models:/of tests/1", uri=uri) / "file").read_text() == "held"
    client.set_registered_model_alias("of tests", "best", "1")
    assert (fetch_model("models:/of tests@best", uri=uri) / "file").read_text() == "held"


def test_a_store_that_was_away_gets_it_later(start, client, history, model, uri, monkeypatch, caplog):
    with monkeypatch.context() as away:

        def refuse(self, path):
            raise ConnectionError("gone")

        away.setattr(MlflowRun, "model", refuse)
        with start(datasets=[TEST]) as run:
            log(run)
            run.model(model, "test/")
    assert "gone" in caplog.text
    assert client.get_run(run.id).info.status == "FINISHED"
    assert Outbox.load(run.folder / "outbox.json").models
    deliver_run(run.id, uri=uri)
    check(client, history, run)
    assert not Outbox.load(run.folder / "outbox.json").models


def test_accounts_from_before_there_were_models_are_read(tmp_path):
    outbox = Outbox(tmp_path / "outbox.json")
    with outbox.change():
        outbox.step = 7
    entries = json.loads(outbox.path.read_bytes())
    del entries["models"]
    outbox.path.write_text(json.dumps(entries))
    assert Outbox.load(outbox.path).step == 7


@pytest.mark.parametrize("address", ["models:/", "models:/name", "models:/name/latest", "models:/no such/1"])
def test_addresses_that_lead_nowhere(client, uri, address):
    with pytest.raises(TrackingError):
        fetch_model(address, uri=uri)


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "it's"])
def test_names_that_are_none(start, uri, name):
    run = start()
    run.finish()
    with pytest.raises(TrackingError, match="expected a name"):
        register(run.id, name, uri=uri)


def test_a_run_without_a_model_is_not_registered(start, uri):
    run = start()
    run.finish()
    with pytest.raises(TrackingError, match="no model in MLflow's format"):
        register(run.id, "nothing", uri=uri)
