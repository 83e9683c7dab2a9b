"""Files of the user's own that a run needs: its space, its proxies, its algorithm. They run as code.

At the beginning `load` runs those that the configuration names, and gives their texts, which the run keeps. A resume runs the
run's own copies, see `stored`, whatever became of the originals.

RUN/space.py        space.file
RUN/proxies.py      proxies.file; every worker runs it too
RUN/algorithm.py    algorithm: {file: ..}
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from proxies import registry
from proxies.errors import ProxyUsageError
from proxies.table import TABLE
from search.algorithms import ALGORITHMS
from search.algorithms.guarded import guarded
from search.config.schema import SearchConfig
from search.config.trained import TOP1
from search.config.validation import check_algorithm
from search.ranking.objective import check_names, find
from search.workers import own_proxies
from uninas.errors import InputError
from uninas.runtime import own_code
from uninas.spaces import own

SPACE, PROXIES, ALGORITHM = "space.py", "proxies.py", "algorithm.py"
START = "start.json"
"""The architecture file that a run started from, kept with it."""

_EXPECTED = "a Python file that registers an algorithm with @search.algorithms.register"
_MODULE = "uninas_own_algorithm"


def load(config: SearchConfig) -> tuple[SearchConfig, dict[str, str]]:
    """Run the files that a configuration names, its space excepted, and check what depends on them.

    Returns:
        the configuration with what the algorithm's file decides filled in (its name, window and objectives) and the folder of its
        images as an absolute path, for a resume from elsewhere; and the text of each file by its name in the run folder.

    Raises:
        InputError: a file fails, or does not register what the configuration needs.
    """
    texts = {}
    if config.space.file is not None:
        texts[SPACE] = own.read(Path(config.space.file))
    if config.proxies.file is not None:
        texts[PROXIES] = _proxies(config, Path(config.proxies.file))
    else:
        _check_proxies(config, ())
    if config.algorithm_file is not None:
        texts[ALGORITHM], config = _algorithm(config, Path(config.algorithm_file))
    if config.images is not None:
        config = dataclasses.replace(config, images=str(Path(config.images).absolute()))
    if config.training.images is not None:
        place = str(Path(config.training.images).absolute())
        config = dataclasses.replace(config, training=dataclasses.replace(config.training, images=place))
    return config, texts


def left_by_a_kill(folder: Path) -> bool:
    """Whether a folder holds no more than what a search leaves that is killed while it makes the folder: nothing to resume."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    begun = {SPACE, PROXIES, ALGORITHM, START}
    return bool(names) and names <= begun | {f".{name}.part" for name in (*begun, "config.yaml")}


def stored(config: SearchConfig, folder: Path) -> SearchConfig:
    """Run a run's own copies of the files that its configuration names, its space excepted; gives what `load` gave of it.

    Raises:
        InputError: as `load`, or a copy is not there.
    """
    if config.proxies.file is not None:
        _proxies(config, folder / PROXIES)
    else:
        _check_proxies(config, ())
    return config if config.algorithm_file is None else _algorithm(config, folder / ALGORITHM)[1]


def _proxies(config: SearchConfig, path: Path) -> str:
    file = own_proxies.read(path)
    _check_proxies(config, own_proxies.run(file))
    return file.text


def _check_proxies(config: SearchConfig, names: tuple[str, ...]) -> None:
    """Check that every worker has each score of the objective, and that it knows its options; `names` are those of the file."""
    if config.objective == TOP1:  # a training has no proxies
        return
    objective = find(config.objective)
    check_names(objective)
    local = [name for name in objective.proxies if name in registry.registered() and name not in (*TABLE, *names)]
    if local and config.pool.kind != "serial" and not set(local) & registry.installed():
        raise InputError(
            f"objective: expected the proxy {local[0]} in a file that proxies.file names, which every worker runs; "
            "it is registered in this process only"
        )
    for name in {*objective.proxies} - {*TABLE} | {*config.proxies.options}:
        try:
            options = registry.spec(name).options
        except ProxyUsageError as error:
            raise InputError(str(error)) from None
        unknown = [option for option in config.proxies.options.get(name, ()) if options is not None and option not in options]
        if unknown:
            raise InputError(f"proxies.options.{name}: expected {', '.join(options or ()) or 'none'}; got '{unknown[0]}'")


def _algorithm(config: SearchConfig, path: Path) -> tuple[str, SearchConfig]:
    text = own_code.read(path, _EXPECTED)
    before = dict(ALGORITHMS.added)
    own_code.run(text, path, _MODULE)
    names = [name for name, one in ALGORITHMS.added.items() if one is not before.get(name)]
    name = config.algorithm or (names[0] if len(names) == 1 else "")
    if name not in names:
        wanted = f"'{name}'" if name else "one algorithm, or algorithm: {file: .., name: ..} that says which"
        raise InputError(f"{path}: expected it to register {wanted}; it registers {', '.join(names) or 'none'}")
    made = ALGORITHMS[name]
    made = dataclasses.replace(made, make=guarded(made.make, path))
    ALGORITHMS.add(name, made)
    config = dataclasses.replace(
        config,
        algorithm=name,
        window=config.window or made.window,
        objectives=config.objectives or (list(made.objectives) or None),
    )
    check_algorithm(config, str(path))
    return text, config
