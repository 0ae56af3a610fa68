"""A repository for apt and a machine that has older packages installed, all in one folder; apt-get is the real one.

packages = AptPackages(tmp_path)
packages.add("openssl", "1.0", new="1.1", label="Debian-Security")
monkeypatch.setenv("PATH", packages.update())
"""

import hashlib
import os
import subprocess
from pathlib import Path

from tests.servers.server import program

_LIMIT = 120  # seconds


class AptPackages:
    """The packages of a machine, and where their new versions come from."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._program = program("apt-get")
        self._installed: list[str] = []
        self._offered: dict[str, list[str]] = {}

    def add(self, name: str, version: str, *, new: str = "", label: str = "Debian") -> None:
        """Add an installed package; `new`: its version in the repository with this label."""
        fields = f"Package: {name}\nArchitecture: all\nMaintainer: t <t@example.com>\nDescription: d\n"
        self._installed.append(f"{fields}Status: install ok installed\nVersion: {version}\n")
        if new:
            self._offered.setdefault(label, []).append(
                f"{fields}Version: {new}\nFilename: p/{name}.deb\nSize: 1\nSHA256: {'0' * 64}\n"
            )

    def update(self) -> str:
        """Fetch the lists. Return a PATH whose apt-get knows nothing but this."""
        for path in ("state/lists/partial", "cache/archives/partial", "etc/apt.conf.d", "etc/preferences.d", "bin"):
            (self._folder / path).mkdir(parents=True)
        (self._folder / "status").write_text("\n".join(self._installed))
        sources = [self._repository(*each) for each in self._offered.items()]
        (self._folder / "sources.list").write_text("".join(sources))
        configuration = self._folder / "apt.conf"
        configuration.write_text(_CONFIGURATION.replace("FOLDER", str(self._folder)))
        script = self._folder / "bin/apt-get"
        script.write_text(f'#!/bin/sh\nAPT_CONFIG={configuration} exec {self._program} "$@"\n')
        script.chmod(0o755)
        subprocess.run([script, "-qq", "update"], check=True, capture_output=True, timeout=_LIMIT)
        return f"{script.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"

    def _repository(self, label: str, packages: list[str]) -> str:
        """Write it; return its line for sources.list."""
        folder = self._folder / "repository" / label
        directory = folder / "dists/stable/main/binary-all"
        directory.mkdir(parents=True)
        content = "\n".join(packages).encode()
        (directory / "Packages").write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        (folder / "dists/stable/Release").write_text(
            f"Origin: Debian\nLabel: {label}\nSuite: stable\nCodename: stable\nVersion: 12\nArchitectures: all amd64\n"
            f"Components: main\nSHA256:\n {digest} {len(content)} main/binary-all/Packages\n"
        )
        return f"deb [trusted=yes arch=all] file:{folder} stable main\n"


_CONFIGURATION = """
Dir "FOLDER/";
Dir::State "FOLDER/state";
Dir::State::status "FOLDER/status";
Dir::Cache "FOLDER/cache";
Dir::Etc "FOLDER/etc";
Dir::Etc::sourcelist "FOLDER/sources.list";
Dir::Etc::sourceparts "/dev/null";
APT::Sandbox::User "root";
"""
