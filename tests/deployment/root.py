"""A clean Debian in a directory, and machines that run in copies of it: processes, mounts and network of their own.

The directory is made once (half a minute) and kept below .cache/; a machine is an overlay on it, gone when it ends.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests import ROOT
from tests.servers.server import program, until

CACHE = ROOT / ".cache/roots"
PACKAGES = (
    "ca-certificates", "cron", "curl", "faketime", "git", "iproute2", "nginx-light", "openssl", "procps",
    "python3-apt", "python3-venv", "sudo", "supervisor", "systemd",
)  # fmt: skip
REPOSITORY = "https://git.example.com/servermonitoring.git"  # as the documents name it
_LOCK = ROOT / "requirements/server.lock"
_LIMIT = 180  # seconds for a start, and for a command
_INIT = """
import os, time
print("up", flush=True)
while True:
    try:
        os.wait()
    except ChildProcessError:
        time.sleep(0.1)
"""


def blocks(document: str, heading: str) -> list[str]:
    """The commands of a chapter, block by block."""
    chapter = f"\n{(ROOT / document).read_text()}".split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", chapter, re.DOTALL)


def debian() -> Path:
    """The clean root, made when it is missing."""
    mmdebstrap = program("mmdebstrap")
    if os.geteuid() != 0:
        pytest.skip("missing: root, for mmdebstrap")
    suite, mirror, components = source()
    name = hashlib.sha256(repr((suite, PACKAGES, mmdebstrap)).encode()).hexdigest()[:12]
    with _made_once():
        root = CACHE / f"{suite}-{name}"
        if not root.exists():
            new = CACHE / "new"
            shutil.rmtree(new, ignore_errors=True)
            options = "--mode=root", "--variant=minbase", f"--components={components}", "--dpkgopt=force-unsafe-io"
            command = [mmdebstrap, "--quiet", *options, f"--include={','.join(PACKAGES)}", suite, str(new), mirror]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr[-2000:]
            new.rename(root)
        return root


def source() -> tuple[str, str, str]:
    """Release, mirror and components, as this machine's apt has them."""
    apt = program("apt-get")
    wanted = "$(CODENAME) $(SITE) $(COMPONENT)"
    listed = subprocess.run(
        [apt, "indextargets", "--format", wanted, "Created-By: Packages"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    codename = release.get("VERSION_CODENAME", "").strip('"')
    sites = [line.split() for line in listed if line.split()[0] == codename]
    main = next((site for _, site, component in sites if component == "main"), None)
    if main is None:
        pytest.skip("missing: a mirror of Debian or Ubuntu in the sources of apt")
    return codename, main, ",".join(sorted({component for _, site, component in sites if site == main}))


def wheels(root: Path) -> Path:
    """The packages of the lock for the root's Python, got at once in the way that pip is set up on this machine.

    All of them: pip would ask this Python whether the root's needs a package.
    """
    version = min((root / "usr/lib").glob("python3.*")).name.removeprefix("python")
    target = CACHE / f"wheels-all-{_fingerprint(version)}"
    with _made_once():
        if not target.exists():
            partial, lock = CACHE / "new-wheels", CACHE / "all.lock"
            shutil.rmtree(partial, ignore_errors=True)
            lock.write_text(re.sub(r" ; .*(?= \\$)", "", _LOCK.read_text(), flags=re.MULTILINE))
            command = [
                sys.executable, "-m", "pip", "--quiet", "download", "--only-binary=:all:", "--python-version", version,
                "--require-hashes", "-r", str(lock), "-d", str(partial),
            ]  # fmt: skip
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            partial.rename(target)
    return target


def _fingerprint(of: str) -> str:
    return hashlib.sha256(_LOCK.read_bytes() + of.encode()).hexdigest()[:12]


@contextmanager
def _made_once() -> Iterator[None]:
    """A lock that all test processes share, for what each of them would otherwise make at the same time."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Machine:
    """`machine.run("cron")`, `machine.path("/etc/passwd")`; everything in it ends when it does."""

    namespaces = ("-m", "-p", "-n", "-u")  # options of nsenter

    def __init__(self, binds: Mapping[str, Path] | None = None) -> None:
        self._clean, self.binds = debian(), binds or {}
        self.directory = Path(tempfile.mkdtemp(prefix="servermonitoring-machine-"))
        self.environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/root"}

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        mounts = [
            *self.mounts(),
            f"mount -t devpts -o ptmxmode=666 devpts {self.root}/dev/pts",
            "ip link set lo up",
            f'exec chroot {self.root} /usr/bin/python3 -c "$0"',
        ]
        command = [program("unshare"), "--mount", "--pid", "--net", "--uts", "--fork", "--kill-child"]
        self._process = subprocess.Popen(
            [*command, "sh", "-ec", "\n".join(mounts), _INIT],
            stdout=subprocess.PIPE, text=True, env=self.environment,
        )  # fmt: skip
        assert self._process.stdout
        assert self._process.stdout.readline() == "up\n"
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        self.first = int(children[0])

    @property
    def root(self) -> Path:
        """Where it is mounted, in its mounts."""
        return self.directory / "tmpfs/root"

    def mounts(self) -> list[str]:
        """The shell commands that mount its root."""
        top = self.root.parent
        top.mkdir()
        layers = f"lowerdir={self._clean},upperdir={top}/upper,workdir={top}/work"
        return [
            f"mount -t tmpfs -o mode=755 none {top}",
            f"mkdir {top}/upper {top}/work {self.root}",
            f"mount -t overlay overlay -o {layers} {self.root}",
            *(f"mkdir -p {self.root}{inside} && mount --bind {outside} {self.root}{inside}"
              for inside, outside in self.binds.items()),
            f"mount -t proc proc {self.root}/proc",
        ]  # fmt: skip

    def stop(self) -> None:
        """End it: without its process 1, none of its others can be."""
        if hasattr(self, "_process"):
            self._process.kill()  # --kill-child
            self._process.wait(_LIMIT)
            if self._process.stdout:
                self._process.stdout.close()
        shutil.rmtree(self.directory)

    def path(self, name: str) -> Path:
        """A file of the machine, seen from outside."""
        return Path(f"/proc/{self.first}/root{name}")

    def let_root_use_sudo(self) -> None:
        """As the guides do; pip finds its packages also then."""
        rules = 'root ALL=(ALL) NOPASSWD: ALL\nDefaults env_keep += "PIP_NO_INDEX PIP_FIND_LINKS"\n'
        self.path("/etc/sudoers.d/root").write_text(rules)
        self.run("echo 127.0.0.1 $(hostname) >> /etc/hosts")

    def ignore_load(self) -> None:
        """The load is that of the machine under the tests, and no fault of this one."""
        self.path("/etc/servermonitoring.d").mkdir()
        self.path("/etc/servermonitoring.d/load.toml").write_text(
            "[host]\nmax_load_per_core = 1000\nmax_swap_used = '100%'\nmin_memory_available = 0\n"
            "[disk.root]\npath = '/'\nmax_used = '100%'\nmax_inodes_used = '100%'\n"
        )

    def run(self, command: str, *, user: str = "root", status: int | None = 0, text: str | None = None) -> str:
        """What a shell command wrote; it has to end with this status."""
        done = subprocess.run(
            [*self.words(), "setpriv", "--reuid", user, "--regid", user, "--init-groups", "sh", "-ec", command],
            env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
            timeout=_LIMIT, input=text, start_new_session=True,
        )  # fmt: skip
        assert status is None or done.returncode == status, f"{command}\n{done.returncode}\n{done.stdout}"
        return done.stdout

    def words(self) -> list[str]:
        """The words before a command that is to run in it."""
        return [program("nsenter"), "-t", str(self.first), *self.namespaces, "-r", "env", "-C", "/"]

    def pids(self, pattern: str) -> list[int]:
        """The processes in it whose command line matches, by their ids in there."""
        command = [*self.words(), "pgrep", "-f", pattern]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        return [int(each) for each in done.stdout.split()]

    def until(self, command: str, seconds: float = 120) -> str:
        """Wait until a shell command in it succeeds; gives what it wrote."""

        def succeeded() -> str:
            output = self.run(f"{{ {command}\n}} && echo succeeded", status=None)
            return output if output.endswith("succeeded\n") else ""

        return str(until(succeeded, seconds, what=command)).removesuffix("succeeded\n")


@contextmanager
def machine(binds: Mapping[str, Path]) -> Iterator[Machine]:
    """A clean Debian that runs nothing yet; pip in it finds the packages of the lock without a network."""
    with Machine({"/wheels": wheels(debian()), **binds}) as new:
        new.environment |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        yield new
