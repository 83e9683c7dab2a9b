"""The images of a run, where its configuration names a folder: drawn when it begins, and drawn alike when it goes on.

The journal keeps their digest in a record of kind "images", ahead of the first candidate. A resume draws them anew, wherever the
folder lies by then, and is rejected where they are others: scores on them would not be comparable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import uninas
from search.algorithms.candidate import Space
from search.config.plan import SearchPlan
from search.engine.finals.finalists import held_out_seeds
from search.journal.journal import Journal
from search.workers.real_batches import Drawn, hold
from uninas.errors import InputError

CHANNELS = 3  # of images as they are read


@final
class RunImages:
    """What the journal of a run says of its images, and whether they are those of now.

    Args:
        plan: of the run; without images nothing is done here.
        space: of the run.
        note: called with what a person should know.
    """

    def __init__(self, plan: SearchPlan, space: Space, note: Callable[[str], None]) -> None:
        self._plan = plan
        self._space = space
        self._note = note
        self._before: str | None = None  # digest that the journal has
        self._drawn = False

    def draw(self) -> None:
        """Draw them, unless they were drawn; before workers are started, which are sent them.

        Raises:
            InputError: of the folder, or the networks of the space take no images of red, green and blue.
        """
        plan = self._plan
        if plan.images is None:
            hold(())  # those of a search before it in this process
            return
        if self._drawn:
            return
        channels = uninas.parse(self._space.text(self._space.starts()[0])).in_channels
        if channels != CHANNELS:
            raise InputError(
                f"images: expected networks of {CHANNELS} channels, red, green and blue; got {channels} in the space"
            )
        for warning in plan.images.draw([plan.seed, *held_out_seeds(plan.seed, plan.repeats)]):
            self._note(f"warning: {warning}")
        self._drawn = True

    def read(self, record: Drawn) -> None:
        """Take in what the journal says."""
        self._before = record.digest

    def settle(self, journal: Journal, *, where: object) -> None:
        """Draw and compare, before anything is scored, and write down what they are where the journal does not say it yet.

        Raises:
            InputError: they are others than those that the run began with, or as `draw`.
        """
        if self._plan.images is None:
            return
        self.draw()
        now = self._plan.images.digest
        if self._before is None:
            journal.append(Drawn(now))
            self._before = now
        elif self._before != now:
            raise InputError(
                f"{where}: expected the images that scored this run, for scores on others are not comparable; "
                f"those of {self._plan.images.folder} are {now[:12]} now and were {self._before[:12]}"
            )
