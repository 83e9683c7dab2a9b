"""What a bench run was asked for: kept in RUN/settings.json, read again by a resume."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from uninas.errors import InputError
from uninas.files.run_files import read_run_json
from uninas.files.writing import write_json

FILE = "settings.json"
_EXTENSIBLE = ("sample", "proxies", "top", "resamples", "reliability")
_YOUNGER = {"reliability"}  # keys that runs of before have not


@dataclass(frozen=True)
class Settings:
    """One run: one benchmark, one dataset, one population.

    Attributes:
        benchmark: "nasbench201", "timm", or "ablation <name>".
        dataset: whose accuracies judge.
        population: "reachable" or "all_forms"; for timm the families' pattern.
        population_digest: of the networks the run may score.
        sample: how many of them, drawn by `seed`; None for all. A resume may raise it.
        seed: decides the sample, inputs and initial weights.
        proxies: names of raw scores. A resume may add some.
        batch: samples a score is computed on.
        repeats: initialisations a score is averaged over.
        probes: option of vkdnw; None for the exact Fisher matrix.
        size: (H, W) that replaces the networks' own; None for their own.
        pictures: the real batch (`search.workers.pictures.PictureBatch`), None for random input.
        top: P of nDCG; None for the default of the sample's size. Judges only: any resume may change it.
        resamples: of the bootstrap. Judges only.
        extra: what one kind of benchmark has beside these.
        reliability: how many networks are scored under a second seed too; None for none. A resume may raise it.
    """

    benchmark: str
    dataset: str
    population: str
    population_digest: str
    proxies: tuple[str, ...]
    sample: int | None = None
    seed: int = 0
    batch: int = 64
    repeats: int = 1
    probes: int | None = None
    size: tuple[int, int] | None = None
    pictures: Mapping[str, Any] | None = None
    top: int | None = None
    resamples: int = 1000
    extra: Mapping[str, Any] | None = None
    reliability: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Give the data that JSON gives back."""
        data: dict[str, Any] = json.loads(json.dumps(asdict(self)))  # tuples become lists
        return data

    def digest(self) -> str:
        """Give the SHA-256 of all that a resume may not change."""
        decisive = {name: value for name, value in self.as_dict().items() if name not in _EXTENSIBLE}
        decisive["pictures"] = None if self.pictures is None else self.pictures["digest"]  # wherever the folder lies
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()

    def extended(
        self,
        *,
        sample: int | None,
        proxies: tuple[str, ...],
        top: int | None,
        resamples: int | None,
        reliability: int | None = None,
    ) -> Settings:
        """Give the settings of a resumed run: a larger sample, more proxies, more networks twice, another judgement.

        Raises:
            InputError: a smaller sample than the run has, or fewer networks under a second seed.
        """
        if reliability is not None and reliability < (self.reliability or 0):
            raise InputError(f"--reliability: expected at least what the run has, {self.reliability} networks; got {reliability}")
        if sample is not None and (self.sample is None or sample < self.sample):
            has = "the whole population" if self.sample is None else f"{self.sample} networks"
            raise InputError(f"--sample: expected at least what the run has, {has}; got {sample}")
        return replace(
            self,
            sample=self.sample if sample is None else sample,
            proxies=tuple(dict.fromkeys((*self.proxies, *proxies))),
            top=self.top if top is None else top,
            resamples=resamples or self.resamples,
            reliability=reliability or self.reliability,
        )

    def write(self, folder: Path) -> None:
        """Write RUN/settings.json."""
        write_json(folder / FILE, {"format": "uninas-bench", "version": 1, **self.as_dict()})


def read_settings(folder: Path) -> Settings:
    """Read RUN/settings.json.

    Raises:
        InputError: no such file, or not one that this version wrote.
    """
    path = folder / FILE
    data = read_run_json(folder, FILE, place="the folder of a bench run", content="the settings of a bench run")
    names = {field.name for field in fields(Settings)}
    if not isinstance(data, dict) or data.get("format") != "uninas-bench" or data.get("version") != 1:
        raise InputError(f"{path}: expected the settings of a bench run, version 1; got something else")
    known = {name: value for name, value in data.items() if name in names}
    if not names - _YOUNGER <= set(known):
        raise InputError(
            f"{path}: expected the keys {', '.join(sorted(names))}; missing: {', '.join(sorted(names - set(known)))}"
        )
    size = known["size"]
    return Settings(**{**known, "proxies": tuple(known["proxies"]), "size": None if size is None else tuple(size)})
