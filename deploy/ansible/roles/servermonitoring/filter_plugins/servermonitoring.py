"""Filters of the role: TOML from variables, and the peers of a host from the inventory."""

import datetime as dt
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

_HEADER = "# Written by Ansible: change the variables of the role."
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1  # integers: https://toml.io/en/v1.0.0#integer


def to_toml(tables: Mapping[str, Any]) -> str:
    """Return a TOML document; "" if there is no table.

    Raise AnsibleFilterError that names the place of a value that TOML does not have.
    """
    if not hasattr(tables, "items"):
        raise AnsibleFilterError(f"tables are expected, not {type(tables).__name__}")
    return "\n".join([_HEADER, *_table((), tables), ""]) if tables else ""


def _table(place: tuple[str, ...], table: Mapping[str, Any]) -> Iterable[str]:
    below = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    if place and (len(below) < len(table) or not table):
        yield f"\n[{'.'.join(map(_key, place))}]"
    for key, value in table.items():
        if key not in below:
            yield f"{_key(key)} = {_value((*place, str(key)), value)}"
    for key, value in below.items():
        yield from _table((*place, str(key)), value)


def _key(key: object) -> str:
    text = str(key)
    return text if _BARE_KEY.fullmatch(text) else _string((text,), text)


def _value(place: tuple[str, ...], value: Any) -> str:
    """Return it as TOML; a table in a list is an inline one."""
    if isinstance(value, str) or hasattr(value, "__ENCRYPTED__"):  # a single value of ansible-vault
        return _string(place, str(value))
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value((*place, str(number)), each) for number, each in enumerate(value))}]"
    if isinstance(value, Mapping):
        pairs = (f"{_key(key)} = {_value((*place, str(key)), each)}" for key, each in value.items())
        return f"{{ {', '.join(pairs)} }}"
    return _plain(place, value)


def _plain(place: tuple[str, ...], value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and _SMALLEST <= value <= _LARGEST:
        return str(int(value))
    if isinstance(value, float):
        return repr(float(value))  # of inf and nan, too
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    what = "has no value: remove the key" if value is None else f"is a {type(value).__name__} that TOML does not have"
    raise AnsibleFilterError(f"{'.'.join(place)} {what}")


def _string(place: tuple[str, ...], text: str) -> str:
    """Return a basic string: TOML takes JSON's escapes, and wants one for DEL as well."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise AnsibleFilterError(f"{'.'.join(place)!r} is no Unicode text") from None
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def peers(
    hostvars: Mapping[str, Any], hosts: Iterable[str], host: str, table: Mapping[str, Any], most: int = 0
) -> dict[str, dict[str, Any]]:
    """Return `[peer.NAME]` for the others of `hosts`, by their names in the inventory.

    `table`: the keys of each; its url has {host} in place of the name. Of a host that has the variable
    servermonitoring_status_url, it is that instead. `most`: only so many, those that follow this host in the order of
    names, so that each host is the peer of as many; 0 for all.
    """
    for each in {*hosts}:
        if each not in hostvars:
            raise AnsibleFilterError(f"servermonitoring_peers: {each} is no host of the inventory")
    ordered = sorted({*hosts, host})
    place = ordered.index(host)
    others = ordered[place + 1 :] + ordered[:place]
    return {each: _peer(each, hostvars[each], table) for each in sorted(others[: most or None])}


def _peer(host: str, variables: Mapping[str, Any], table: Mapping[str, Any]) -> dict[str, Any]:
    url = variables.get("servermonitoring_status_url") or table["url"].replace("{host}", host)
    name = variables.get("servermonitoring_hostname")
    return {**table, "url": url, **({"host": name} if name else {})}


class FilterModule:
    """What Ansible asks a file of filters for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"servermonitoring_toml": to_toml, "servermonitoring_peers": peers}
