"""What an installed package of somebody else might offer: two algorithms and a space."""

from pathlib import Path

from search.algorithms import register
from uninas.spaces import own

SPACE = own.load(Path(__file__).parents[3] / "docs" / "examples" / "my_space.py")


class Plain:
    def __init__(self, space, objective):
        self.space = space

    def propose(self, index, rng, unscored):
        return self.space.sample(rng)

    def learn(self, told):
        pass


@register("full", window=3, options={"steps": 1})
class Full(Plain):
    def __init__(self, space, objective, *, steps):
        super().__init__(space, objective)
        self.steps = steps
