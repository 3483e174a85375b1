"""What was typed of ``generate``, and what follows from it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyro_vrnn.errors import ConfigurationError

#: Length by default, where values have a rate and where they have none.
SECONDS, FRAMES = 2.0, 200


@dataclass(frozen=True)
class Asked:
    """What was typed; of ``prime``, ``reconstruct``, ``interpolate`` and ``hold`` one at most."""

    out: Path
    count: int
    seconds: float | None
    frames: int | None
    prime: str | None
    prime_seconds: float | None
    reconstruct: str | None
    interpolate: tuple[str, str] | None
    hold: str | None
    temperature_z: float
    temperature_x: float
    write: str | None
    seed: int
    device: str

    @property
    def use(self) -> str:
        """What is made.

        Raises:
            ConfigurationError: If that is not one thing.
        """
        uses = [use for use in ("prime", "reconstruct", "interpolate", "hold") if getattr(self, use)]
        if len(uses) > 1:
            raise ConfigurationError(f"--{uses[0]} and --{uses[1]}: one at a time")
        use = uses[0] if uses else "generate"
        if self.prime_seconds is not None and use != "prime":
            raise ConfigurationError("--prime-seconds: only beside --prime")
        if use in ("reconstruct", "interpolate") and (self.seconds or self.frames):
            raise ConfigurationError(f"--{use}: is as long as its recordings; leave out --seconds and --frames")
        if use in ("reconstruct", "interpolate", "hold") and (self.temperature_z, self.temperature_x) != (1, 1):
            raise ConfigurationError(f"--{use}: the latents are given; leave out --temperature-z and --temperature-x")
        return use

    @property
    def label(self) -> str:
        """What is in every file's name, so that another call's files have other names."""
        done = {"prime": "continued-", "reconstruct": "reconstructed-", "interpolate": "interpolated-", "hold": "held-"}
        warmth = "".join(
            f"-{name}{value:g}" for name, value in (("z", self.temperature_z), ("x", self.temperature_x)) if value != 1
        )
        return f"{done.get(self.use, '')}{self.written}-s{self.seed}{warmth}"

    @property
    def written(self) -> str:
        """Samples or means."""
        return self.write or ("sample" if self.use in ("generate", "prime") else "mean")

    def length(self, data: dict[str, Any]) -> int:
        """Frames of each.

        Raises:
            ConfigurationError: If it is given twice, or in seconds where values have no rate.
        """
        if self.seconds is not None and self.frames is not None:
            raise ConfigurationError("--seconds and --frames: pass one of them")
        if self.frames is not None:
            return self.frames
        if data.get("kind", "audio") != "audio":
            if self.seconds is not None:
                raise ConfigurationError(f"--seconds {self.seconds:g}: these data have no rate; pass --frames")
            return FRAMES
        return frames_in(SECONDS if self.seconds is None else self.seconds, data)


def frames_in(seconds: float, data: dict[str, Any]) -> int:
    """At least one."""
    return max(1, round(seconds * data["sample_rate"] / data["frame"]))
