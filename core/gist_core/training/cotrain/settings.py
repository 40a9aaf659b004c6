"""Settings of a co-training run."""

from __future__ import annotations

from dataclasses import dataclass

from gist_core.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class CotrainSettings:
    """How long, how much at once, at what rates.

    Attributes:
        steps: Optimiser steps of policy and generator together.
        warm_steps: Steps before them in which the generator alone learns to read random gists.
        batch: Episodes a step; ``micro`` of them are held in memory at once.
        rates: Asked shares of C's tokens, in turn from step to step; each starts at half of C and comes down over
            ``anneal`` of the steps. Validations are at the middle one.
        policy_rate, generator_rate: Learning rates.
        frozen_generator: For a closed reader: the base model reads the gists as it is.
        fragment_price: See ``SelectiveObjective``; with a frozen generator it keeps gists readable.
        gradient_checkpointing: Less memory for a third more time.
        save_every: Steps between validations; ``patience`` of them without a better one end the run, 0 for never.

    Raises:
        InvalidInputError: A value is impossible.
    """

    steps: int = 300
    warm_steps: int = 60
    batch: int = 16
    micro: int = 16
    rates: tuple[float, ...] = (0.05, 0.1, 0.2)
    anneal: float = 0.5
    policy_rate: float = 1e-3
    generator_rate: float = 1e-3
    frozen_generator: bool = False
    fragment_price: float = 0.0
    gradient_checkpointing: bool = False
    seed: int = 13
    save_every: int = 25
    patience: int = 0

    def __post_init__(self) -> None:
        if not self.rates or not all(0 < rate < 1 for rate in self.rates):
            raise InvalidInputError(f"rates are {self.rates}.", hint="Give shares of the context between 0 and 1.")
        for name in ("steps", "batch", "micro", "save_every"):
            if getattr(self, name) < 1:
                raise InvalidInputError(f"{name} is {getattr(self, name)}.", hint="Give 1 or more.")

    def asked(self, step: int) -> float:
        """Which of the rates a step works at."""
        return self.rates[step % len(self.rates)]

    @property
    def middle(self) -> float:
        """The rate that validations are made at."""
        return sorted(self.rates)[len(self.rates) // 2]

    def target(self, step: int) -> float:
        """The rate that is held at a step: from half of C down to the one asked, geometrically."""
        falling = self.anneal * self.steps
        done = min(1.0, step / falling) if falling else 1.0
        return float(0.5 ** (1 - done) * self.asked(step) ** done)
