"""A grid in MLflow's interface, in a browser: runs side by side, and grouped by an axis."""

import re

import pytest

from pyro_vrnn.tracking import PARENT, find_run, find_runs

from ..report.browser import browsing, needs_browser
from .conftest import SMALL, interface

URI = "sqlite:///mlruns/mlflow.db"
QUICK = ["--max-steps", "2", "--set", "evaluation.particles=2", "--set", "evaluation.repetitions=1"]


@needs_browser
@pytest.mark.slow  # four cells, a server and a browser
def test_the_printed_address_compares_the_cells_and_they_are_grouped_by_an_axis(command, tmp_path):
    grid = ["--variants", "vrnn-gauss", "--grid", "guide=filtering,residual", "--seeds", "0,1", "--name", "grid"]
    ended = command("ablate", *grid, "--data", "linear-gaussian", *SMALL, *QUICK)
    assert "4 of 4 cells are finished" in ended.out, ended.out + ended.err
    printed = re.search(r"http://127.0.0.1:5000(\S+)", ended.out)[1]
    run = find_run("grid", uri=URI)
    cells = find_runs(run.experiment, uri=URI, tags={PARENT: run.id})
    assert {cell.tags["mlflow.source.name"] for cell in cells} == {"pyro-vrnn"}
    with interface(tmp_path) as address, browsing() as browser:
        browser.look(1500, 1000)
        browser.open(address + printed)
        browser.until("return document.body.innerText.includes('Comparing 4 Runs from 1 Experiment')")
        text = "document.querySelector('.js-plotly-plot')?.textContent ?? ''"
        browser.until(f"return ['model.guide', 'filtering', 'residual'].every(word => ({text}).includes(word))")
        browser.open("about:blank")
        browser.open(f"{address}/#/experiments/{run.experiment_id}/runs?workflowType=machine_learning")
        browser.click("[...document.querySelectorAll('button')].find(each => each.innerText.includes('Group by'))")
        browser.click(
            "[...document.querySelectorAll('[role=menuitemcheckbox]')].find(each => each.innerText == 'guide')"
        )
        for guide in ("filtering", "residual"):
            browser.until(f"return /Group: {guide}\\s+2/.test(document.body.innerText)")
        assert browser.unexpected() == []
