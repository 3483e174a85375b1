"""The process that starts the ranks of this machine, and ends them all when one of them ends.

It stays beside them and computes nothing, so that any of them may die, rank 0 too, and somebody is left to say which it
was and what has become of the run. Each rank holds one end of a socket: rank 0 says there which run it writes, and a
rank that finds it closed has lost its supervisor and ends.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.training.config import TrainingOptions

#: Names the descriptor of a rank's end of the socket.
LINK = "PYRO_VRNN_SUPERVISOR"

#: Seconds between two looks at the ranks.
POLL = 0.1

#: Seconds in which ranks that make the same mistake as the first may say so themselves.
GRACE = 5.0

#: Seconds in which a rank that has lost its supervisor may end in order.
FAREWELL = 10.0

FORWARDED = ("SIGINT", "SIGTERM", "SIGHUP")

#: What a rank exits with after a mistake that the user can mend, said in its last line.
USER_ERROR = 2

#: What a rank is, before the words of this very command; ``-P`` adds no folder to those that are searched for modules.
COMMAND = [sys.executable, "-P", "-c", "from pyro_vrnn.commands.main import main; main()"]

_link: socket.socket | None = None


@dataclass
class _Rank:
    """A process that was started here.

    Attributes:
        rank: Among all of the job.
        process: The process.
        link: Our end of its socket.
        said: What it wrote to standard error; None where that is ours.
    """

    rank: int
    process: subprocess.Popen[bytes]
    link: socket.socket
    said: IO[bytes] | None


def obey() -> bool:
    """Makes this rank end when its supervisor is gone.

    Returns:
        Whether it has one.
    """
    global _link
    if LINK not in os.environ:
        return False
    _link = socket.socket(fileno=int(os.environ.pop(LINK)))
    _link.set_inheritable(False)
    threading.Thread(target=_outlive_not, args=(_link,), daemon=True, name="supervisor").start()
    return True


def report(run: str, name: str, uri: str) -> None:
    """Tells the supervisor, where there is one, which run ends with this process."""
    if _link is not None:
        _link.sendall(json.dumps({"run": run, "name": name, "uri": uri}).encode())


def supervise(options: TrainingOptions) -> int:
    """Runs this very command as one process a device, until all of them have ended.

    Args:
        options: How many.

    Returns:
        What to exit with; the status of rank 0, or of the rank that ended first.
    """
    with ExitStack() as held:
        ranks = _start(options, held)
        try:
            with _forwarding(ranks[0].process):
                failed = _first_failure(ranks)
        finally:
            for each in ranks:
                if each.process.poll() is None:
                    each.process.kill()
            for each in ranks:
                each.process.wait()
        spoke = ranks[0].process.returncode
        if failed is None or (failed is ranks[0] and spoke > 0):
            return spoke
        return _explain(failed, ranks[0], options)


def number_in(name: str) -> int:
    """The number in an environment variable; 0 where there is none.

    Raises:
        ConfigurationError: If it is none.
    """
    text = os.environ.get(name, "0")
    if not text.isdecimal():
        raise ConfigurationError(f"{name}={text}: expected a number, as torchrun sets it")
    return int(text)


def _explain(failed: _Rank, first: _Rank, options: TrainingOptions) -> int:
    """Says which rank ended and how, ends the run that rank 0 wrote, and gives the status to exit with."""
    status = failed.process.returncode
    how = f"ended with status {status}" if status > 0 else f"was killed by {signal.Signals(-status).name}"
    size = options.devices * options.nodes
    words = f"rank {failed.rank} of {size} (pid {failed.process.pid}, host {socket.gethostname()}) {how}"
    said = _said(failed)
    if status == USER_ERROR and said:
        words += f": {said.splitlines()[-1].removeprefix('pyro-vrnn: ')}"
    elif status > 0 and said:
        print(said, file=sys.stderr)
    ended = "" if first.process.returncode == 0 else _fail_the_run(first.link, words)
    print(f"pyro-vrnn: {words}{ended}", file=sys.stderr)
    return status if status > 0 else 128 - status


def _start(options: TrainingOptions, held: ExitStack) -> list[_Rank]:
    node, size = number_in("NODE_RANK") if options.nodes > 1 else 0, options.devices * options.nodes
    if node >= options.nodes:
        raise ConfigurationError(f"NODE_RANK={node}: --nodes {options.nodes} are numbered from 0")
    threads = max(1, (os.cpu_count() or 1) // options.devices)
    meeting = {} if options.nodes > 1 else {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    ranks = []
    for local in range(options.devices):
        rank = node * options.devices + local
        ours, theirs = socket.socketpair()
        names = {
            "RANK": rank,
            "WORLD_SIZE": size,
            "LOCAL_RANK": local,
            "LOCAL_WORLD_SIZE": options.devices,
            "GROUP_RANK": node,
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", threads),
            LINK: theirs.fileno(),
            # What can be imported here can be there.
            "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        }
        said = held.enter_context(tempfile.TemporaryFile()) if local else None  # noqa: SIM115 (closed with the others)
        process = subprocess.Popen(
            [*COMMAND, *sys.argv[1:]],
            env={**os.environ, **meeting, **{name: str(value) for name, value in names.items()}},
            stdout=None if local == 0 else subprocess.DEVNULL,
            stderr=said,
            pass_fds=[theirs.fileno()],
            start_new_session=True,  # a key pressed at the terminal reaches a rank by way of us, once
        )
        theirs.close()
        ranks.append(_Rank(rank, process, held.enter_context(ours), said))
    return ranks


def _first_failure(ranks: list[_Rank]) -> _Rank | None:
    """Waits until all have ended well, or one has not; that one."""
    while True:
        ended = [each for each in ranks if each.process.poll() is not None]
        failed = [each for each in ended if each.process.returncode]
        if failed:
            break
        if len(ended) == len(ranks):
            return None
        time.sleep(POLL)
    first = next((each for each in failed if each.process.returncode < 0), failed[0])
    if first.process.returncode > 0:
        until = time.monotonic() + GRACE
        while ranks[0].process.poll() is None and time.monotonic() < until:
            time.sleep(POLL)
        if (ranks[0].process.returncode or 0) > 0:
            return ranks[0]
    return first


@contextmanager
def _forwarding(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Inside, what asks this process to end asks that one."""
    numbers = [getattr(signal, name) for name in FORWARDED if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        numbers = []

    def forward(number: int, frame: object) -> None:
        process.send_signal(number)

    before = {number: signal.signal(number, forward) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _said(rank: _Rank) -> str:
    if rank.said is None:
        return ""
    rank.said.seek(0)
    return rank.said.read().decode(errors="replace").strip()


def _fail_the_run(link: socket.socket, why: str) -> str:
    """Ends the run that rank 0 wrote, of which nobody else can say so any more; what to tell the user."""
    link.setblocking(False)
    try:
        told: dict[str, Any] = json.loads(link.recv(1 << 16) or "null") or {}
    except BlockingIOError:
        told = {}
    if not told:
        return ""
    from pyro_vrnn.errors import TrackingError
    from pyro_vrnn.tracking import TrackedRun

    try:
        TrackedRun.resume(told["run"], uri=told["uri"]).finish("FAILED", why)
    except TrackingError as error:
        return f"; run {told['name']} could not be marked as failed: {error}"
    return f"; run {told['name']} has failed, go on from its last checkpoint: fit --resume {told['name']}"


def _outlive_not(link: socket.socket) -> None:
    with suppress(OSError):  # what the other end had not read when it was closed makes this a reset
        link.recv(1)  # nothing is ever sent: it returns when the other end is closed
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(FAREWELL)
    os._exit(1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
