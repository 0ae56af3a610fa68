"""A chronyd that follows another one, whose clock may be ahead; neither touches the clock of this machine.

with Chrony(tmp_path, ahead=5) as chrony:
    monkeypatch.setenv("PATH", chrony.path_with_chronyc)
"""

import os
import shlex
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.servers.server import HOST, free_port, program, until

_LIMIT = 120  # seconds until it follows


class Chrony:
    """Starts both; with `ahead` the one that is followed has a clock so many seconds ahead of this machine's."""

    def __init__(self, folder: Path, ahead: int = 0, *, has_source: bool = True) -> None:
        self._folder, self._ahead, self._has_source = folder, ahead, has_source
        self._program, self._chronyc = program("chronyd"), program("chronyc")
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        port = free_port()
        if self._has_source:
            faketime = [program("faketime"), "-f", f"+{self._ahead}s"] if self._ahead else []
            self._start("source", f"local stratum 5\nport {port}\nbindaddress {HOST}\nallow {HOST}", faketime)
            self._start("chrony", f"server {HOST} port {port} iburst minpoll 0 maxpoll 0\nport 0")
            until(self._follows, _LIMIT, what="chrony to follow its source")
        else:
            self._start("chrony", "port 0")
            until(lambda: self._report().count(",") > 1, _LIMIT, what="chrony")
        (self._folder / "bin").mkdir()
        script = self._folder / "bin/chronyc"
        script.write_text(f'#!/bin/sh\nexec {shlex.join([self._chronyc, "-h", self._socket])} "$@"\n')
        script.chmod(0o755)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for each in self._processes:
            os.killpg(each.pid, signal.SIGKILL)  # faketime has a child
            each.wait(_LIMIT)

    @property
    def path_with_chronyc(self) -> str:
        """A PATH whose chronyc asks this one."""
        return f"{self._folder / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"

    @property
    def _socket(self) -> str:
        return str(self._folder / "chrony/socket")

    def _start(self, name: str, settings: str, words: "list[str] | None" = None) -> None:
        folder = self._folder / name
        folder.mkdir(mode=0o700)
        own = f"cmdport 0\nbindcmdaddress {folder}/socket\npidfile {folder}/pid\n"
        (folder / "conf").write_text(f"{settings}\n{own}")
        command = [*(words or []), self._program, "-x", "-d", "-u", "root", "-f", str(folder / "conf")]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, process_group=0)
        self._processes.append(process)

    def _report(self) -> str:
        command = [self._chronyc, "-h", self._socket, "-n", "-c", "tracking"]
        return subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT, check=False).stdout

    def _follows(self) -> bool:
        return self._report().rstrip().endswith(",Normal") and not self._report().startswith("00000000")
