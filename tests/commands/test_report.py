"""The report of ``fit``, made again by ``analyze``; pictures on the way; nothing of it changes a run's numbers."""

import json
import math
import re
import shutil
import sqlite3
import sys
from contextlib import closing, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
import soundfile

from pyro_vrnn.commands import reporting
from pyro_vrnn.commands.main import main
from pyro_vrnn.errors import TrackingError
from pyro_vrnn.tracking import Store, find_run, history, journalled

from ..report.browser import browsing, needs_browser
from ..report.test_page import Reader
from .conftest import SMALL, Ended, interface, record

PLAIN = [*SMALL[:-2], "--set", "evaluation.particles=2", "--set", "evaluation.repetitions=1"]
URI = "sqlite:///mlruns/mlflow.db"


def folder_of(home: Path) -> Path:
    (folder,) = (home / "mlruns" / "runs").iterdir()
    return folder


def kept(record, under=""):
    client = Store.at(record.uri).open()
    return {item.path for item in client.list_artifacts(record.id, under)}


@pytest.fixture(scope="module")
def heard(tmp_path_factory):
    """The folder of a run on recordings, with its report, and what it printed."""
    home = tmp_path_factory.mktemp("heard")
    options = ["--data", str(record(home / "tones", 30)), "--epochs", "3", "--name", "heard", *PLAIN]
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as out:
        patch.setattr(reporting, "SAMPLES", 3)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(home)
        patch.setattr(sys, "argv", ["pyro-vrnn", "fit", *options])
        with pytest.raises(SystemExit) as ended:
            main()
    assert not ended.value.code, out.getvalue()
    return home, out.getvalue()


@pytest.fixture
def spoken(heard, command, tmp_path):
    """The same in a folder of the test's own."""
    home, out = heard
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    with closing(sqlite3.connect(tmp_path / "mlruns" / "mlflow.db")) as store, store:
        for table, column in (
            ("experiments", "artifact_location"), ("runs", "artifact_uri"), ("tags", "value"),
            ("logged_models", "artifact_location"),
        ):  # fmt: skip
            store.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (str(home), str(tmp_path)))
    return Ended(0, out.replace(str(home), str(tmp_path)), "")


def test_fit_ends_with_a_report_and_analyze_makes_it_again(spoken, command, tmp_path):
    folder = folder_of(tmp_path)
    assert spoken.out.splitlines()[-1] == f"report:      {folder / 'report.html'}"
    run, html = find_run("heard", uri=URI), (folder / "report.html").read_text()
    reader = Reader(html)
    results = json.loads((folder / "results.json").read_text())
    text = " ".join(reader.text)
    assert {"report.html", "audio", "figures", "images"} <= kept(run)
    # The table is the one that was printed, cell by cell.
    printed = " ".join(spoken.out.split())
    for name, *cells in results["said"]["rows"]:
        assert " ".join([name, *filter(None, cells)]) in printed
        assert all(cell in text for cell in [name, *cells])
    assert all(line in text for line in results["said"]["remarks"])
    assert run.id in text
    assert results["data"]["checksum"] in text
    assert 'variant = "vrnn-gauss"' in text
    assert [sound["aria-label"] for sound in reader.all("audio")] == [
        *("Real 1", "Reconstructed 1, means", "Real 2", "Reconstructed 2, means"),
        *("Generated 1, samples", "Generated 2, samples", "Generated 1, means", "Generated 2, means"),
    ]
    assert len(reader.all("img")) == 4  # Figs. 2 and 3 of samples and of means, measures
    # The very files: what is made again of the run alone has the same sounds.
    again = command("analyze", "heard", "--out", "again", "--count", "2", "--samples", "3")
    assert again.status == 0, again.err
    for path in (folder / "audio").iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
    assert Reader((tmp_path / "again" / "report.html").read_text()).all("audio") == reader.all("audio")
    assert again.out.splitlines()[-1] == "report:      again/report.html"


def test_a_sound_says_what_it_is(spoken, tmp_path):
    with soundfile.SoundFile(folder_of(tmp_path) / "audio" / "1-generated-mean.wav") as sound:
        assert sound.title == "heard: Generated 1, means"
        assert "means of the emission" in sound.comment
        assert "run heard, vrnn-gauss" in sound.comment
        assert sound.samplerate == 8000
        assert len(sound) == 2 * 8000


def pictured():
    paths = kept(find_run("heard", uri=URI), "images")
    return {int(re.search(r"samples\+step\+(\d+)\+", path)[1]) for path in paths}


def test_pictures_have_the_steps_of_their_epochs(spoken, tmp_path):
    run, steps = find_run("heard", uri=URI), pictured()
    per_epoch = len({step for step, values in journalled(folder_of(tmp_path)) if "train/bound" in values}) // 3
    assert steps == {0, per_epoch, 2 * per_epoch}  # before training, after epochs 1 and 2, not 3
    assert run.tags["mlflow.loggedImages"].lower() == "true"


def test_the_numbers_of_a_run_are_the_same_without(spoken, command, tmp_path):
    folder = folder_of(tmp_path)
    plain = command("fit", "--data", tmp_path / "tones", "--epochs", "3", "--name", "plain", "--no-report", *PLAIN)
    assert plain.status == 0, plain.err
    assert "report:" not in plain.out
    (other,) = set(folder.parent.iterdir()) - {folder}
    assert not (other / "report.html").exists()
    assert not (other / "images").exists()

    def numbers(where):
        return [(step, {k: v for k, v in values.items() if "second" not in k}) for step, values in journalled(where)]

    assert numbers(folder) == numbers(other)
    first, second = (find_run(name, uri=URI) for name in ("heard", "plain"))
    assert first.tags["configuration"] == second.tags["configuration"]


def test_the_history_is_that_of_the_store_where_there_is_no_folder(spoken, tmp_path):
    names = ["train/bound", "validation/elbo_per_frame", "nonsense"]
    before = history("heard", names, uri=URI)
    (folder_of(tmp_path) / "journal.jsonl").unlink()
    assert history("heard", names, uri=URI) == before
    assert list(before) == names[:2]
    assert len(before["validation/elbo_per_frame"]) == 3


def test_a_curve_is_of_what_is_finite(spoken, tmp_path):
    folder = folder_of(tmp_path)
    run = reporting.Run.here(json.loads((folder / "results.json").read_text()), folder, URI)
    bound, validation, kl, norm = reporting.metrics(run.results)
    nothing = [(1, math.nan), (2, math.inf)]
    points = {bound: nothing, validation: [(1, 2.0), (2, math.nan)], kl: nothing, norm: []}
    panels = reporting._panels(run._replace(history=points))
    assert [(panel.title, [line.name for line in panel.lines]) for panel in panels] == [("Bound", ["validation"])]


@pytest.mark.parametrize("error", [TrackingError("full: no room"), ValueError("full: no room")])
def test_a_report_that_fails_leaves_the_run_as_it_is(command, tmp_path, monkeypatch, error):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(reporting, "write", fail)
    ended = command("fit", "--data", record(tmp_path / "tones", 30), "--max-steps", "1", "--name", "x", *PLAIN)
    assert ended.status == 0, ended.err
    run = find_run("x", uri=URI)
    assert run.status == "FINISHED"
    assert f"no report: full: no room; make it with: python cli.py analyze {run.id[:8]} --out analysis" in ended.out


def test_a_picture_that_fails_ends_no_training(command, tmp_path, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("probability tensor contains nan")

    monkeypatch.setattr("pyro_vrnn.commands.snapshots.made_samples", fail)
    monkeypatch.setattr(reporting, "write", lambda *given, **options: [tmp_path / "tones" / "000.wav"])
    ended = command("fit", "--data", record(tmp_path / "tones", 30), "--max-steps", "2", "--name", "x", *PLAIN)
    assert ended.status == 0, ended.err
    assert ended.out.count("no pictures of samples from here on: probability tensor contains nan") == 1
    assert find_run("x", uri=URI).status == "FINISHED"


def test_handwriting_is_drawn(command, tmp_path, monkeypatch):
    monkeypatch.setattr(reporting, "SAMPLES", 2)
    ended = command("fit", "--data", "demo-handwriting", "--variant", "rnn-gmm", "--max-steps", "1", *PLAIN)
    assert ended.status == 0, ended.err
    folder = folder_of(tmp_path)
    html = (folder / "report.html").read_text()
    reader = Reader(html)
    assert "<h2>Look</h2>" in html
    assert not reader.all("audio")
    assert sorted(path.name for path in (folder / "ink").iterdir()) == [
        *("1-generated-mean.svg", "1-generated-sample.svg", "1-real.svg"),
        *("2-generated-mean.svg", "2-generated-sample.svg", "2-real.svg"),
    ]
    assert len(reader.all("img")) == 2  # Fig. 4 and measures: there are no latents to draw Fig. 2 of


def test_rows_of_numbers_have_curves_and_latents(command, tmp_path):
    ended = command("fit", "--data", "linear-gaussian", "--max-steps", "1", *PLAIN)
    assert ended.status == 0, ended.err
    folder = folder_of(tmp_path)
    reader = Reader((folder / "report.html").read_text())
    assert len(reader.all("img")) == 1
    assert not (folder / "audio").exists()
    assert not (folder / "images").exists()


@needs_browser
def test_a_page_plays_in_a_browser(spoken, tmp_path):
    folder = folder_of(tmp_path)
    with browsing() as browser:
        browser.open((folder / "report.html").as_uri())
        script = "return [...document.querySelectorAll('audio')].map(sound => sound.duration)"
        browser.until(f"{script}.every(length => length > 0)")
        lengths = sorted(soundfile.info(path).duration for path in (folder / "audio").iterdir())
        assert sorted(browser.run(script)) == pytest.approx(lengths, abs=1e-3)
        assert browser.run("return [...document.images].every(image => image.naturalWidth > 100)")
        grounds = []
        for dark in (False, True):
            browser.look(360, 800, dark=dark)
            assert browser.run("return document.documentElement.scrollWidth") <= 360
            grounds.append(browser.run("return getComputedStyle(document.body).backgroundColor"))
        assert grounds == ["rgb(255, 255, 255)", "rgb(22, 24, 28)"]
        assert browser.errors() == []


@needs_browser
@pytest.mark.slow
def test_the_interface_shows_the_page_and_the_pictures(spoken, tmp_path):
    run = find_run("heard", uri=URI)
    with interface(tmp_path) as address, browsing() as browser:
        place = f"{address}/#/experiments/{run.experiment_id}/runs/{run.id}"
        browser.look(1400, 1000)
        browser.open(f"{place}/artifacts/report.html")
        frame = "document.querySelector('iframe')"
        browser.until(f"return {frame} && {frame}.clientHeight > 100")
        assert browser.run(f"return fetch({frame}.src).then(page => page.text())").count("<audio") == 8
        # The slider of pictures is in the last section, which is drawn when it comes into sight.
        browser.open("about:blank")
        browser.open(f"{place}/model-metrics")
        slider = "document.querySelector('[role=slider]')"
        scroll = "document.querySelectorAll('div').forEach(part => part.scrollTop = part.scrollHeight)"
        browser.until(f"{scroll}; return {slider}")
        picture = "[...document.images].find(image => image.src.includes('samples%2Bstep') && image.naturalWidth)"
        shown = f"return [Number({slider}.ariaValueNow), Number({picture}?.src.match(/step%2B(\\d+)/)[1])]"
        for step in sorted(pictured()):
            browser.until(f"{shown}.every(step => step === {step})")
            browser.run(f"{slider}.focus()")
            browser.press("ArrowRight")
        assert browser.unexpected() == []
