"""How long nominal durations really last."""

import threading
import time
from collections.abc import Callable

PHASES = ("Starting", "Downloading", "Training", "Uploading", "Interrupted", "Restarting", "Deleting")


class Clock:
    """Nominal seconds times `factor` are real ones. Time stamps are always real."""

    def __init__(self) -> None:
        self.factor = 1.0
        self.grace = 120.0
        self.capacity_patience = 3600.0
        self.checkpoint_interval = 10.0
        # Lines come so late to the log, even after the job's end.
        self.log_delay = 0.0
        # The part of the time that a spot job is not billed for.
        self.spot_discount = 0.7
        self.minimum: dict[str, float] = {}
        self.changed: Callable[[], None] = lambda: None

    def change(self, wanted: dict) -> None:
        if unknown := set(wanted) - set(self.settings()):
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(self.settings())}")
        minimum = wanted.get("minimum", self.minimum)
        if unknown := set(minimum) - set(PHASES):
            raise ValueError(f"no minimum for {', '.join(sorted(unknown))}; there is one for {', '.join(PHASES)}")
        numbers = {name: float(value) for name, value in wanted.items() if name != "minimum"}
        if any(not value >= 0 for value in [*numbers.values(), *minimum.values()]):
            raise ValueError("times and factors are 0 or more")
        self.minimum = {name: float(value) for name, value in minimum.items()}
        for name, value in numbers.items():
            setattr(self, name, value)

    def settings(self) -> dict:
        names = ("factor", "grace", "capacity_patience", "checkpoint_interval", "log_delay", "spot_discount", "minimum")
        return {name: getattr(self, name) for name in names}

    def wait(self, condition: threading.Condition, done: Callable[[], bool], nominal: float | None = None) -> bool:
        """Wait with the condition held until it is done (true), or the nominal time is over (false)."""
        begun = time.monotonic()
        while not done():
            left = None
            if nominal is not None:
                # Asked anew each time: the factor can change meanwhile.
                left = begun + nominal * self.factor - time.monotonic()
                if left <= 0:
                    return False
            condition.wait(left)
        return True
