"""What `ray submit CLUSTER.yaml search/submit.py -- ...` runs on the head of a cluster: `uninas search`, on that cluster.

Ray copies this one file to the head's home and starts it there, so it stands alone: the standard library only. The
search is in the cluster's own file, which `ray up` leaves in the home under the name below; everything behind `--` means
what it means to `uninas search`. Its process becomes that command, started without the home on the module path, where
any file of a user could shadow a package.
"""

import os
import sys
from pathlib import Path

CLUSTER_FILE = Path("~/ray_bootstrap_config.yaml")


def command(words: list[str], cluster_file: Path = CLUSTER_FILE) -> list[str]:
    """Give the command line for what stands behind `--`: a new search that joins the cluster, or the resumed run.

    Raises:
        FileNotFoundError: there is no cluster's file, so this is not a head that `ray up` has made.
    """
    python = [sys.executable, "-P", "-m", "uninas.cli", "search"]
    if any(word == "--help" or word == "--resume" or word.startswith("--resume=") for word in words):
        return [*python, *words]  # a run knows its configuration, and with it the cluster
    path = cluster_file.expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected the cluster's configuration, which `ray up` puts there; no such file")
    return [*python, str(path), "pool.address=auto", *words]


if __name__ == "__main__":
    try:
        line = command(sys.argv[1:])
    except FileNotFoundError as error:
        print(f"uninas: {error}", file=sys.stderr)
        sys.exit(2)
    os.execv(line[0], line)
