"""What a representation knows: a linear probe of a label from latents and states, against one from raw frames.

python probe.py                              two synthetic voices, made on the fly
python probe.py RUN FOLDER TEST_RE LABEL_RE  a tracked run, and recordings of one's own
"""

import os
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

import pyro_vrnn
from pyro_vrnn.commands.main import commands
from pyro_vrnn.data import DataOptions, Normaliser, read


# [voices]
def two_voices(folder, clips=60, rate=8000):
    """Two voices of the same range of pitch: what tells them apart is where their spectrum has its peak."""
    noise = np.random.default_rng(0)
    folder.mkdir()
    t = np.arange(rate // 4) / rate
    for i in range(clips):
        for voice, peak in (("low", 700), ("high", 1500)):
            harmonics = noise.uniform(100, 160) * np.arange(1, 20)
            loudness = np.exp(-(((harmonics - peak) / 300) ** 2)) + 0.05
            phases = noise.uniform(0, 2 * np.pi, len(harmonics))
            tone = loudness @ np.sin(2 * np.pi * np.outer(harmonics, t) + phases[:, None])
            clip = noise.uniform(0.03, 0.1) * tone + 0.005 * noise.standard_normal(len(t))
            soundfile.write(folder / f"{i:02d}_{voice}.wav", clip, rate)


def train(folder, test):
    """A small VRNN; the sizes are for a demonstration of some seconds."""
    sizes = [f"--set=model.{name}" for name in ("h=32", "z=8", "depth=1")]
    sizes += [f"--set=model.{part}_width=32" for part in ("phi_x", "phi_z", "prior", "guide", "emission")]
    fit = ["fit", "--data", str(folder), "--frame", "80", "--test-pattern", test, "--epochs", "20", "--name", "voices"]
    commands([*fit, *sizes, "--batch-size=8", "--set=training.learning_rate=0.003"], standalone_mode=False)


# [features]
def features(run, folder):
    """Names of the clips, and for each representation one vector a clip: the mean over its frames."""
    trained = pyro_vrnn.load(run)
    with tempfile.TemporaryDirectory() as aside:
        codes = str(Path(aside) / "codes.npz")
        commands(["encode", run, str(folder), "--out", codes], standalone_mode=False)
        with np.load(codes) as arrays:
            names = [key.removesuffix(".h") for key in arrays if key.endswith(".h")]
            found = {part: np.stack([arrays[f"{name}.{part}"].mean(0) for name in names]) for part in ("z", "h")}
    normaliser = Normaliser(trained.data["mean"], trained.data["std"])
    clips, *_ = read(DataOptions(source=str(folder), frame=trained.data["frame"]), normaliser)
    assert clips.names == names
    found["raw frames"] = np.stack([x.mean(0) for x in clips])
    found["log spectrum"] = np.stack([np.log(np.square(np.abs(np.fft.rfft(x))) + 1e-4).mean(0) for x in clips])
    return names, found


# [probe]
def accuracy(vectors, labels, test, ridge=1e-3):
    """Share of test clips that a linear classifier gets right: least squares, one class against the rest."""
    classes = sorted(set(labels))
    targets = np.array([[label == each for each in classes] for label in labels], float)
    centred = vectors - vectors[~test].mean(0)
    X = np.c_[centred / (centred[~test].std(0) + 1e-12), np.ones(len(vectors))]
    A, b = X[~test].T @ X[~test], X[~test].T @ targets[~test]
    weights = np.linalg.solve(A + ridge * len(A) * np.eye(len(A)), b)
    return ((X[test] @ weights).argmax(1) == targets[test].argmax(1)).mean()


# [run]
if len(sys.argv) > 1:
    run, folder, test_pattern, label_pattern = sys.argv[1:]
else:
    os.chdir(tempfile.mkdtemp())
    run, folder, test_pattern, label_pattern = "voices", Path("voices"), "^[01]", "_([a-z]+)"
    two_voices(folder)
    train(folder, test_pattern)
names, found = features(run, folder)
labels = [re.search(label_pattern, name)[1] for name in names]
test = np.array([re.search(test_pattern, name) is not None for name in names])
most = max(np.mean(np.array(labels)[test] == each) for each in set(labels))
print(f"{test.sum()} test clips of {len(set(labels))} classes, {most:.1%} by guessing")
scores = {name: accuracy(vectors, labels, test) for name, vectors in found.items()}
for name, score in scores.items():
    print(f"{name:<13} {found[name].shape[1]:>4} values  {score:.1%}")

if len(sys.argv) == 1:
    assert scores["h"] > 0.8
    assert scores["raw frames"] < 0.7  # a waveform has no mean to speak of
