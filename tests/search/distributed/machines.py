"""A laptop and machines that it can log in to, on this one computer: namespaces of their own, so that nothing gets out or stays.

Each has its own network card, processes, /tmp, /dev/shm and home; the machines run sshd on port 22 of their addresses. Linux
as root only. `ray stop` and `ray down` end processes by name, on the whole machine: here they cannot reach any other.
"""

from __future__ import annotations

import os
import pwd
import shutil
import site
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).parents[3]
TOOLS = {
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "ip": "iproute2",
    "ps": "procps",
    "ssh": "openssh-client",
    "rsync": "rsync",
}
SSHD = "/usr/sbin/sshd"
SUBNET = "10.77.0"  # private to the namespaces
HOME = pwd.getpwuid(0).pw_dir  # of the user that the machines are logged in to as
HIDDEN = {"tmp": Path("/tmp"), "home": Path(HOME)}  # every machine has its own, in a folder of this name

# The requirements are there already (no test downloads anything); what is installed is this project, by the shipped commands.
BASHRC = """
export RAY_USAGE_STATS_ENABLED=0 PIP_NO_INDEX=1 PIP_NO_BUILD_ISOLATION=0 PIP_DISABLE_PIP_VERSION_CHECK=1
"""
SSHD_CONFIG = f"""
HostKey {HOME}/host_key
AuthorizedKeysFile {HOME}/.ssh/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
"""


def missing() -> str | None:
    """Say why there can be no machines here, if so."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "needs Linux and root, for namespaces"
    absent = [f"{tool} (Debian: {package})" for tool, package in TOOLS.items() if shutil.which(tool) is None]
    if not Path(SSHD).exists():
        absent.append(f"{SSHD} (Debian: openssh-server)")
    if absent:
        return f"needs {', '.join(absent)}"
    probe = "ip link add br0 type bridge && ip link add probe0 type veth peer name probe1 && mount -t tmpfs tmpfs /tmp"
    made = subprocess.run(["unshare", "--net", "--mount", "sh", "-c", probe], capture_output=True, text=True, check=False)
    return f"needs namespaces with a bridge and tmpfs: {made.stderr.strip()}" if made.returncode else None


class Machine:
    """One machine: a process tree in namespaces of its own, whose first process is `command`."""

    def __init__(self, folder: Path, command: str) -> None:
        self.home = folder / "home"
        (self.home / ".ssh").mkdir(parents=True, exist_ok=True)
        (folder / "tmp").mkdir()
        mounts = ["mount -t tmpfs tmpfs /dev/shm", *self._mounts(folder)]
        script = "\n".join(["set -e", "ip link set lo up", *mounts, "mkdir -p /run/sshd", "echo ready", f"exec {command}"])
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                ["unshare", "--net", "--pid", "--mount", "--mount-proc", "--fork", "--kill-child", "bash", "-c", script],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n", (folder / "log").read_text()
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        self._first = int(children.read_text())  # as seen from here; within the machine it is process 1

    @staticmethod
    def _mounts(folder: Path) -> list[str]:
        """Commands that put this machine's folders over /tmp and the home, with what is there of Python and this project."""
        lines = []
        for path in dict.fromkeys(Path(place).resolve() for place in (ROOT, sys.prefix, sys.base_prefix)):
            for name, hidden in HIDDEN.items():
                if path.is_relative_to(hidden):
                    place = folder / name / path.relative_to(hidden)
                    lines.append(f"mkdir -p '{place}' && mount --bind '{path}' '{place}'")
        last = sorted(HIDDEN, key=lambda name: folder.is_relative_to(HIDDEN[name]))  # what lay there is out of sight then
        return lines + [f"mount --rbind '{folder / name}' {HIDDEN[name]}" for name in last]

    def inside(self, *command: str, folder: Path | str = HOME) -> list[str]:
        """How to run a command on this machine, in a folder."""
        return ["nsenter", f"--target={self._first}", "--net", "--pid", "--mount", f"--wd={folder}", *command]

    def plug(self, laptop: Machine, number: int) -> None:
        """Connect this machine's network card to the laptop's bridge."""
        cable = f"cable{number}"
        peer = ["peer", "name", "card", "netns", str(self._first)]
        for words in (
            ["nsenter", f"--target={laptop._first}", "--net", "ip", "link", "add", cable, "type", "veth", *peer],
            laptop.inside("ip", "link", "set", cable, "master", "br0", "up"),
            self.inside("ip", "address", "add", f"{SUBNET}.{number}/24", "dev", "card"),
            self.inside("ip", "link", "set", "card", "up"),
            self.inside("ip", "route", "add", "default", "via", f"{SUBNET}.1"),
        ):
            subprocess.run(words, check=True)

    def processes(self) -> list[str]:
        """Command lines of all that runs on this machine."""
        listed = subprocess.run(self.inside("ps", "-eo", "args="), capture_output=True, text=True, check=True).stdout
        return listed.splitlines()

    def close(self) -> None:
        """Switch the machine off: with its first process every other one ends."""
        self._process.kill()  # unshare takes its child along
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


class Machines:
    """A laptop at .1 and a machine at each further number; all are gone when the context ends."""

    def __init__(self, folder: Path, count: int) -> None:
        self._folder = folder
        self.addresses = [f"{SUBNET}.{number}" for number in range(2, 2 + count)]
        self.machines: list[Machine] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.laptop = Machine(self._folder / "laptop", "sleep infinity")
            stack.callback(self.laptop.close)
            for words in (("link", "add", "br0", "type", "bridge"), ("address", "add", f"{SUBNET}.1/24", "dev", "br0")):
                subprocess.run(self.laptop.inside("ip", *words), check=True)
            subprocess.run(self.laptop.inside("ip", "link", "set", "br0", "up"), check=True)
            key = self.laptop.home / ".ssh" / "id_test"
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
            for number, address in enumerate(self.addresses, start=2):
                folder = self._folder / address
                _furnish(folder / "home", key.with_suffix(".pub").read_text())
                machine = Machine(folder, f"{SSHD} -D -f {HOME}/sshd_config -E {HOME}/sshd.log")
                stack.callback(machine.close)
                machine.plug(self.laptop, number)
                self.machines.append(machine)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command on the laptop, in the folder of the checkout; it leads a process group."""
        environment = {
            "HOME": HOME,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "TERM": "dumb",
            "LANG": "C.UTF-8",
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        words = self.laptop.inside(*command, folder=ROOT)
        return subprocess.Popen(
            words,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str, status: int = 0) -> str:
        """Run a command on the laptop to its end; gives what it printed."""
        process = self.start(*command)
        said, _ = process.communicate()
        assert process.returncode == status, said
        return said


def _furnish(home: Path, key: str) -> None:
    """Give a machine's home the login of the laptop, and an environment that has the requirements and not this project."""
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "authorized_keys").write_text(key)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / "host_key")], check=True)
    (home / "sshd_config").write_text(SSHD_CONFIG)
    (home / ".bashrc").write_text(BASHRC)
    environment = home / "uninas-env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "requirements.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    for name, module in (("ray", "ray.scripts.scripts"), ("pip", "pip._internal.cli.main")):
        script = environment / "bin" / name
        script.write_text(f"#!{HOME}/uninas-env/bin/python\nimport sys\nfrom {module} import main\nsys.exit(main())\n")
        script.chmod(0o755)
