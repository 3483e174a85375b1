"""Speaks sentences with eSpeak NG, as a program of its own: `python -I espeak.py < request.json`.

A process that has spoken before speaks differently; a fresh one with a seed of its own repeats every sample. Hence a
process a voice, and nothing but the standard library here, so that one starts in milliseconds.
"""

import ctypes
import json
import sys
import wave
from pathlib import Path
from typing import Any

OUTPUT_SYNCHRONOUS = 2
INITIALIZE_DONT_EXIT = 0x8000  # without it, a failure ends the process
CHARACTERS_UTF8 = 1
POSITION_CHARACTER = 1
RATE, VOLUME, PITCH = 1, 2, 3
SEED = 1


def speak(request: dict[str, Any]) -> dict[str, Any]:
    """Write one 16-bit WAV file a sentence.

    Args:
        request: `library` and `data` (paths of eSpeak NG), `voice` (its name for it), `rate` (words a minute), `volume`
            and `pitch` (0 to 100), `sentences`, and `folder`, which receives `00.wav`, `01.wav`, ...

    Returns:
        `version` of eSpeak NG.

    Raises:
        RuntimeError: eSpeak NG refused something.
    """
    library = ctypes.CDLL(request["library"])
    library.espeak_Info.restype = ctypes.c_char_p
    sample_rate = library.espeak_Initialize(OUTPUT_SYNCHRONOUS, 0, request["data"].encode(), INITIALIZE_DONT_EXIT)
    if sample_rate <= 0:
        raise RuntimeError(f"no voices in {request['data']}")
    # Breathy voices draw noise from a generator that has just been seeded with the time in seconds.
    library.espeak_ng_SetRandSeed(ctypes.c_long(SEED))
    heard = bytearray()

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
    def receive(samples: int | None, count: int, events: int | None) -> int:
        if samples and count > 0:
            heard.extend(ctypes.string_at(samples, 2 * count))
        return 0

    library.espeak_SetSynthCallback(receive)
    if library.espeak_SetVoiceByName(request["voice"].encode()):
        raise RuntimeError(f"unknown voice {request['voice']}")
    for parameter, name in ((RATE, "rate"), (VOLUME, "volume"), (PITCH, "pitch")):
        library.espeak_SetParameter(parameter, request[name], 0)
    for number, sentence in enumerate(request["sentences"]):
        heard.clear()
        text = sentence.encode()
        if library.espeak_Synth(text, len(text) + 1, 0, POSITION_CHARACTER, 0, CHARACTERS_UTF8, None, None):
            raise RuntimeError(f"cannot speak {sentence!r}")
        library.espeak_Synchronize()
        with wave.open(str(Path(request["folder"]) / f"{number:02d}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(sample_rate)
            file.writeframes(bytes(heard))
    return {"version": library.espeak_Info(None).decode()}


if __name__ == "__main__":
    try:
        print(json.dumps(speak(json.load(sys.stdin))))
    except (AttributeError, OSError, RuntimeError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
