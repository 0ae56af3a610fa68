"""Ansible module: configuration files replaced together, after the suite and the watchdog have accepted them."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: servermonitoring_configuration
short_description: Replace the configuration of servermonitoring
description:
  - Writes servermonitoring.toml and files of servermonitoring.d, all or none of them.
  - Before that, the suite and the watchdog read the new files together with those that stay. An error of theirs is the
    message of the failure, and every file stays as it was.
options:
  main:
    description: Content of servermonitoring.toml.
    type: str
    required: true
  additional:
    description: Content of files of servermonitoring.d by their names, without .toml. An empty one is removed.
    type: dict
    default: {}
  path:
    description: The configuration file.
    type: str
    default: /etc/servermonitoring.toml
  owner:
    description: User of the suite, whose group may read the files.
    type: str
    default: servermonitoring
"""
RETURN = """
files:
  description: Those that were written or removed.
  type: list
  returned: always
"""
_MODE = 0o640
_LIMIT = 300  # seconds for the suite to read the configuration


def _wanted(path: Path, main: str, additional: dict[str, str]) -> dict[Path, bytes | None]:
    """Return the content of each file; None for one that is not to be there."""
    directory = path.with_suffix(".d")
    files = {directory / f"{name}.toml": content.encode() or None for name, content in additional.items()}
    return {**files, path: main.encode()}


def _current(file: Path, group: int) -> bytes | None:
    """Return its content; nothing where owner or mode are not as they are to be."""
    try:
        status = file.lstat()
        if (status.st_uid, status.st_gid, status.st_mode & 0o7777) != (0, group, _MODE):
            return b""
        return file.read_bytes()
    except FileNotFoundError:
        return None


def _write(file: Path, content: bytes, group: int) -> None:
    """Put the new file in place of the old one."""
    new = file.with_name(f".{file.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            os.fchown(descriptor, 0, group)
            os.fchmod(descriptor, _MODE)
            stream.flush()
            os.fsync(descriptor)
        new.replace(file)
    finally:
        new.unlink(missing_ok=True)


def _fault(path: Path, changes: dict[Path, bytes | None], group: int) -> str:
    """Return what the suite or the watchdog has against the files after the changes; empty if nothing.

    They read a copy in the same directory, since paths in the configuration are relative to it.
    """
    copy = path.with_stem(f"{path.stem}-candidate")
    directory, of_copy = path.with_suffix(".d"), copy.with_suffix(".d")
    try:
        shutil.rmtree(of_copy, ignore_errors=True)
        of_copy.mkdir(mode=0o750)
        os.chown(of_copy, 0, group)
        present = [*directory.glob("*.toml"), *filter(Path.exists, [path])]
        for file, content in ({file: file.read_bytes() for file in present} | changes).items():
            if content is not None:
                _write(copy if file == path else of_copy / file.name, content, group)
        return _refusal(copy).replace(copy.stem, path.stem)
    finally:
        copy.unlink(missing_ok=True)
        shutil.rmtree(of_copy, ignore_errors=True)


def _refusal(path: Path) -> str:
    environment = {"PATH": os.defpath, "LANG": "C.UTF-8", "SERVERMONITORING_CONFIG": str(path)}
    suite = ["servermonitoring", "--collect-only", "--quiet", "--override-ini=addopts="]
    for command, accepted in ((suite, (0, 5)), (["watchdog", "status"], (0, 1))):
        try:
            done = subprocess.run(
                command, env=environment, cwd="/", check=False, timeout=_LIMIT, text=True, errors="replace",
                stdin=subprocess.DEVNULL, capture_output=True,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"{command[0]} has not read it within {_LIMIT} s"
        if done.returncode not in accepted:
            return (done.stderr or done.stdout).strip() or f"{command[0]} ended with {done.returncode}"
    return ""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "main": {"type": "str", "required": True, "no_log": True},
            "additional": {"type": "dict", "default": {}, "no_log": True},
            "path": {"type": "str", "default": "/etc/servermonitoring.toml"},
            "owner": {"type": "str", "default": "servermonitoring"},
        },
        supports_check_mode=True,
    )
    path = Path(module.params["path"])
    try:
        group = pwd.getpwnam(module.params["owner"]).pw_gid
    except KeyError:
        module.fail_json(msg=f"there is no user {module.params['owner']}: install the package first")
    wanted = _wanted(path, module.params["main"], module.params["additional"])
    changes = {file: content for file, content in wanted.items() if content != _current(file, group)}
    if changes and (fault := _fault(path, changes, group)):
        module.fail_json(msg=f"the configuration is not accepted, and was not changed:\n{fault}")
    if not module.check_mode:
        for file, content in changes.items():
            if content is None:
                file.unlink(missing_ok=True)
            else:
                _write(file, content, group)
    module.exit_json(changed=bool(changes), files=sorted(map(str, changes)))


if __name__ == "__main__":
    main()
