"""Finding what does not belong: anomalies planted in a recording are the frames that a model finds least likely."""

import csv
import os
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from pyro_vrnn.commands.main import commands

RATE, FRAME = 8000, 40  # 5 ms a frame
noise = np.random.default_rng(0)
os.chdir(tempfile.mkdtemp())


# [recordings]
def machine(seconds, *, start=0.0):
    """A machine that hums: three harmonics whose loudness rises and falls, and a little noise."""
    t = start + np.arange(int(RATE * seconds)) / RATE
    hum = sum(np.sin(2 * np.pi * 100 * k * t + k) / k for k in (1, 2, 3))
    return (0.2 + 0.1 * np.sin(2 * np.pi * 0.7 * t)) * hum + 0.01 * noise.standard_normal(len(t))


Path("normal").mkdir()
for i in range(40):
    soundfile.write(f"normal/{i:02d}.wav", machine(0.5, start=noise.uniform(0, 100)), RATE)

# Ten seconds of the same machine. Nothing that is planted is louder than the hum can be.
recording = machine(10.0)
planted = {"a missed beat": 2.0, "a rattle": 5.0, "a slip of phase": 8.0}  # seconds
spans = {name: slice(int(RATE * begin), int(RATE * (begin + 0.02))) for name, begin in planted.items()}
recording[spans["a missed beat"]] = 0.01 * noise.standard_normal(160)
recording[spans["a rattle"]] += 0.1 * noise.standard_normal(160)
recording[spans["a slip of phase"]] *= -1
soundfile.write("recording.wav", recording, RATE)

# [model]
sizes = [f"--set=model.{name}" for name in ("h=32", "z=8", "depth=1")]
sizes += [f"--set=model.{part}_width=32" for part in ("phi_x", "phi_z", "prior", "guide", "emission")]
fit = ["fit", "--data", "normal", "--frame", str(FRAME), "--batch-size", "8", "--epochs", "25", "--name", "machine"]
commands([*fit, *sizes, "--set=training.learning_rate=0.01"], standalone_mode=False)

# [score]
commands(["score", "machine", "recording.wav", "--out", "frames.csv"], standalone_mode=False)


# [find]
def stretches(times):
    """The first time of every stretch of 100 ms."""
    kept = []
    for time in times:
        if all(abs(time - other) > 0.1 for other in kept):
            kept.append(time)
    return kept


def what(time):
    """What was planted there."""
    return "".join(name for name, begin in planted.items() if -0.015 < time - begin < 0.05) or "-"


with open("frames.csv", newline="") as file:
    nats = {float(row["time"]): float(row["nats"]) for row in csv.DictReader(file)}
least_likely = stretches(sorted(nats, key=nats.get))[:5]
median = np.median(list(nats.values()))
for time in least_likely:
    print(f"{time:5.2f} s  {nats[time] - median:8.1f} nats from the median  {what(time)}")
assert {what(time) for time in least_likely[:3]} == set(planted)

# Energy finds the pause, and nothing else.
energy = np.log(np.square(recording.reshape(-1, FRAME)).mean(-1))
unusual = stretches(np.argsort(-np.abs(energy - np.median(energy))) * FRAME / RATE)[:5]
print("by energy:", ", ".join(f"{time:.2f} s {what(time)}" for time in unusual))
assert {what(time) for time in unusual} == {"a missed beat", "-"}
