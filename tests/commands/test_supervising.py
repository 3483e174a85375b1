"""The supervisor with ranks that are a few lines of Python."""

import json
import os
import signal
import sys
import threading
import time

import pytest

from pyro_vrnn.commands import supervising
from pyro_vrnn.training.config import TrainingOptions

BEGIN = "import json, os, socket, sys, time; rank = int(os.environ['RANK'])\n"


@pytest.fixture
def ranks(monkeypatch, capfd, tmp_path):
    """Runs code as so many ranks; the status, and what was written to standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pyro-vrnn", "fit"])

    def run(code: str, devices: int = 2, **options):
        monkeypatch.setattr(supervising, "COMMAND", [sys.executable, "-c", BEGIN + code])
        began = time.monotonic()
        status = supervising.supervise(TrainingOptions(devices=devices, **options))
        assert time.monotonic() - began < 8
        return status, *capfd.readouterr()

    return run


def test_ranks_know_their_places_and_only_the_first_is_heard(ranks):
    code = "names = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'LOCAL_WORLD_SIZE', 'MASTER_ADDR', 'GROUP_RANK')\n"
    code += "open(str(rank), 'w').write(json.dumps([os.environ[name] for name in names] + sys.argv[1:]))\n"
    code += "print('said by', rank); print('warned by', rank, file=sys.stderr)"
    status, out, err = ranks(code, devices=3)
    assert (status, out, err) == (0, "said by 0\n", "warned by 0\n")
    for rank in "012":
        with open(rank) as file:
            assert json.load(file) == [rank, "3", rank, "3", "127.0.0.1", "0", "fit"]


def test_ranks_of_the_second_machine_count_on(ranks, monkeypatch):
    for name, value in (("NODE_RANK", "1"), ("MASTER_ADDR", "far"), ("MASTER_PORT", "4711")):
        monkeypatch.setenv(name, value)
    code = "open(str(rank), 'w').write(' '.join(os.environ[n] for n in ('WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT')))"
    assert ranks(code, nodes=2)[0] == 0
    for rank in "23":
        with open(rank) as file:
            assert file.read() == "4 far 4711"


def test_a_mistake_that_all_make_is_said_once(ranks):
    status, _, err = ranks("time.sleep(0.3 * (1 - rank)); sys.exit(f'pyro-vrnn: rank {rank}') if rank else exit(2)")
    assert (status, err) == (2, "")


def test_a_mistake_of_another_rank_is_one_line_with_its_name(ranks, monkeypatch):
    monkeypatch.setattr(supervising, "GRACE", 0.5)
    code = "print('a warning\\npyro-vrnn: no such file', file=sys.stderr) if rank else time.sleep(60); exit(2)"
    status, _, err = ranks(code)
    assert status == 2
    assert err.startswith("pyro-vrnn: rank 1 of 2 (pid ")
    assert err.endswith("ended with status 2: no such file\n")
    assert err.count("\n") == 1


def test_a_defect_of_another_rank_is_shown_whole(ranks, monkeypatch):
    monkeypatch.setattr(supervising, "GRACE", 0.5)
    status, _, err = ranks("1 / 0 if rank else time.sleep(60)")
    assert status == 1
    assert "Traceback" in err
    assert "ZeroDivisionError" in err
    assert err.splitlines()[-1].startswith("pyro-vrnn: rank 1 of 2 (pid ")


def test_the_first_rank_speaks_for_itself(ranks):
    status, _, err = ranks("time.sleep(60) if rank else sys.exit('pyro-vrnn: no')")
    assert (status, err) == (1, "pyro-vrnn: no\n")


def test_what_asks_the_supervisor_to_end_asks_the_first_rank_alone(ranks):
    code = "import signal\n"
    code += "def told(number, frame):\n    open(f'told{rank}', 'w').write(str(number)); sys.exit(130)\n"
    code += "signal.signal(signal.SIGINT, told); open(f'ready{rank}', 'w'); time.sleep(60)"

    def press() -> None:
        while not all(os.path.exists(f"ready{rank}") for rank in range(2)):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    before = signal.getsignal(signal.SIGINT)
    assert ranks(code)[0] == 130
    assert os.path.exists("told0")
    assert not os.path.exists("told1")
    assert signal.getsignal(signal.SIGINT) is before


def test_a_run_that_cannot_be_marked_is_said_so(ranks):
    code = f"link = socket.socket(fileno=int(os.environ[{supervising.LINK!r}]))\n"
    code += "told = {'run': 'abcd', 'name': 'lost', 'uri': 'sqlite:///nowhere/mlflow.db'}\n"
    code += "link.sendall(json.dumps(told).encode()) if rank == 0 else time.sleep(0.3)\n"
    code += "os.kill(os.getpid(), 9) if rank else time.sleep(60)"
    status, _, err = ranks(code)
    assert status == 137
    assert err.count("\n") == 1
    assert "rank 1 of 2" in err
    assert "was killed by SIGKILL; run lost could not be marked as failed: " in err
