"""Bring what hosts will need into the caches on their way: the hub's, then that of a site that has one."""

from __future__ import annotations

import base64
import gzip
import json
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from importlib import resources
from io import BytesIO
from pathlib import PurePosixPath
from typing import Any

from tram.act.come import come
from tram.act.key import CentreKey
from tram.act.outcome import StepFailed
from tram.act.session import Session
from tram.act.target import Target
from tram.register import Host

STATE = "/var/lib/tram-stage"
"""Where a cache keeps the package lists it works out with."""

STORE = "/var/lib/tram-mirror/bundles"
LONGEST = timedelta(hours=10)
"""A night: how long a cache may fetch."""

# What apt compares when it decides whether a package is to come anew. Source: apt's VersionHash.
_FIELDS = (
    "Package", "Status", "Priority", "Essential", "Version", "Architecture", "Multi-Arch", "Installed-Size",
    "Depends", "Pre-Depends", "Conflicts", "Breaks", "Replaces", "Provides",
)  # fmt: skip
_ASK = (
    "export LC_ALL=C.UTF-8; { dpkg --print-architecture; cd /etc/apt && "
    "{ [ ! -s sources.list ] || { echo '#tram sources.list'; cat sources.list; }; "
    "for f in sources.list.d/*.list sources.list.d/*.sources; do "
    '[ ! -s "$f" ] || { echo "#tram ${f#*/}"; cat "$f"; }; done; echo "#tram"; }; '
    "dpkg-query --show --showformat " + shlex.quote("".join(f"{name}: ${{{name}}}\\n" for name in _FIELDS) + "\\n") +
    "; } | gzip -9c"
)  # fmt: skip


# The program stands before its input; `-` would take the input for more program.
_RUN = (
    "import sys,gzip,base64;"
    "exec(compile(gzip.decompress(base64.b64decode(sys.stdin.buffer.readline())),'at_cache','exec'))"
)


@dataclass(frozen=True, slots=True)
class Wanting:
    """A host as its cache has to know it."""

    name: str
    architecture: str
    sources: tuple[tuple[str, str], ...]
    status: str
    packages: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """As the program at the cache reads it."""
        return {
            "name": self.name, "architecture": self.architecture, "sources": self.sources, "status": self.status,
            "packages": self.packages,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Files:
    """What a host would fetch, with sizes; `wrong` is why that cannot be said."""

    files: Mapping[str, int]
    wrong: str = ""


@dataclass(slots=True)
class Filled:
    """How it went at one cache, bytes throughout. `lacking` is what it did not have; `left` are files not fetched for
    `why_left` ("cap", "hours"), `problems` those that did not come."""

    place: str
    needed: int = 0
    files: int = 0
    lacking: int = 0
    fetched: int = 0
    left: tuple[str, ...] = ()
    why_left: str = ""
    problems: tuple[tuple[str, str], ...] = ()
    by_host: dict[str, Files] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may come, and until when; `dry`: nothing but package lists."""

    max_bytes: int | None = None
    until: datetime | None = None
    dry: bool = False


Tell = Callable[[int, int, str], None]
"""Bytes fetched, bytes to fetch, what it is about."""


def ask(target: Target, key: CentreKey, packages: Sequence[str]) -> Wanting:
    """What a host has and where it gets packages from; changes nothing there.

    Raises: NotReached, IdentityUnknown, LoginRefused, StepFailed.
    """
    said = BytesIO()
    with come(target, key) as session:
        answer = session.save(_ASK, said, within=timedelta(minutes=2))
    try:
        text = gzip.decompress(said.getvalue()).decode()
        architecture, _, rest = text.partition("\n")
        lists, _, status = rest.partition("#tram\n")
        parts = [part.partition("\n") for part in lists.split("#tram ")[1:]]
    except (ValueError, OSError, EOFError) as error:
        raise StepFailed(f"{target.name}: does not say what it has installed: {answer.last_words}") from error
    if not parts or "Package: " not in status:
        raise StepFailed(f"{target.name}: has no sources of packages, or no packages", hint="is it a Debian host?")
    # An empty field means something else to apt than none.
    kept = "\n".join(line for line in status.splitlines() if not line.endswith(": "))
    return Wanting(
        target.name, architecture, tuple((name, body) for name, _, body in parts), kept + "\n", tuple(packages)
    )


def fill(
    target: Target,
    key: CentreKey,
    *,
    hosts: Sequence[Wanting] = (),
    files: Mapping[str, int] | None = None,
    mirror: tuple[Host, int, Mapping[str, int]] | None = None,
    limits: Limits = Limits(),
    tell: Tell = lambda *_: None,
) -> Filled:
    """Have a cache fetch what `hosts` lack and `files`, and, from `mirror` (the cache's host, port, paths with sizes),
    what it is to have of the hub's mirror.

    Raises: NotReached; StepFailed with the reason of the cache.
    """
    asked: dict[str, Any] = {
        "state": STATE,
        "hosts": [host.plain() for host in hosts],
        "files": sorted((files or {}).items()),
        "mirror": None,
        "dry": limits.dry,
        "max_bytes": limits.max_bytes,
        "until": limits.until.timestamp() if limits.until else None,
    }
    if mirror:
        host, port, paths = mirror
        asked["mirror"] = {
            "name": host.fqdn,
            "address": str(host.address),
            "port": port,
            "paths": sorted(paths.items()),
        }
    source = resources.files("tram.act").joinpath("at_cache.py").read_bytes()
    packed = base64.b64encode(gzip.compress(source)).decode()
    with come(target, key) as session:
        heard = _Lines(target.name, tell)
        answer = session.save(
            f"exec sudo -n nice -n 10 python3 -I -c {shlex.quote(_RUN)}",
            heard,
            stdin=f"{packed}\n{json.dumps(asked)}\n",
            within=LONGEST,
        )
    if not heard.done:
        why = heard.error or answer.stderr.strip().splitlines()[-1:] or [f"exit {answer.code}"]
        raise StepFailed(f"{target.name}: {why if isinstance(why, str) else why[0]}")
    return heard.found


class _Lines(BytesIO):
    """Takes what the program says line by line, as it comes."""

    def __init__(self, place: str, tell: Tell) -> None:
        super().__init__()
        self.found, self.done, self.error = Filled(place), False, ""
        self._tell, self._rest = tell, b""

    def write(self, data: Any, /) -> int:
        """One piece of the output."""
        *lines, self._rest = (self._rest + bytes(data)).split(b"\n")
        for line in lines:
            try:
                said = json.loads(line)
            except ValueError:
                continue  # a banner
            if isinstance(said, dict):
                self._hear(said)
        return len(data)

    def _hear(self, said: Mapping[str, Any]) -> None:
        found = self.found
        if "error" in said:
            self.error = str(said["error"])
        elif "files" in said:
            files = {str(address): int(size) for address, size in said["files"]}
            found.by_host[str(said["host"])] = Files(files, str(said["wrong"]))
        elif "need" in said:
            found.needed, found.files, found.lacking = int(said["need"]), int(said["files_count"]), int(said["of"])
        elif said.get("done"):
            self.done = True
            found.fetched, found.why_left = int(said["fetched"]), str(said["why_left"])
            found.left = tuple(map(str, said["left"]))
            found.problems = tuple((str(name), str(why)) for name, why in said["problems"])
        elif "fetched" in said:
            self._tell(int(said["fetched"]), int(said["of"]), str(said["file"]).rpartition("/")[2])


def put(session: Session, folder: str, files: Mapping[str, bytes]) -> int:
    """Put files where the hub's mirror serves them, each whole or not at all; what is there is not sent again.

    Returns the bytes sent. Raises: StepFailed, NotReached.
    """
    checks = "".join(f"{sha256(data).hexdigest()}  {name}\n" for name, data in files.items())
    there = do(session, f"cd {shlex.quote(folder)} && sha256sum --check - 2>/dev/null || true", checks).splitlines()
    sent = 0
    for name, data in files.items():
        if f"{name}: OK" in there:
            continue
        path, above = shlex.quote(name), shlex.quote(str(PurePosixPath(name).parent))
        new = f"{above}/.tram-stage.new"
        command = f"cd {shlex.quote(folder)} && mkdir -p -m 0755 {above} && base64 -d >{new} && sync {new} && "
        do(session, f"{command}chmod 0644 {new} && mv {new} {path}", base64.b64encode(data).decode())
        sent += len(data)
    return sent


def name_all(session: Session, folder: str, shelf: str, names: Iterable[str]) -> None:
    """Say which files of the folder must stay when the mirror's disk gets full; `shelf` is who says so.

    Raises: StepFailed, NotReached.
    """
    command = (
        f"cd {shlex.quote(folder)} && mkdir -p -m 0755 .shelves && cat >.shelves/{shlex.quote(shelf)} && "
        "sort -u .shelves/* >.named.new && chmod 0644 .named.new && mv .named.new named.txt"
    )
    do(session, command, "".join(f"{name}\n" for name in (*names, f".shelves/{shelf}")))


def do(session: Session, command: str, stdin: str = "") -> str:
    """What a shell command prints as root.

    Raises: StepFailed, NotReached.
    """
    answer = session.run(f"sudo -n sh -c {shlex.quote(command)}", stdin=stdin, within=timedelta(minutes=5))
    if answer.code != 0:
        raise StepFailed(
            f"{session.target.name}: {answer.last_words}",
            hint="give it the function mirror in the register and run playbooks/antivirus.yml",
        )
    return answer.stdout


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was brought to a host itself: bytes of package lists as apt counts them, bytes of the runtime; `note` is
    what could not be."""

    lists: int = 0
    runtime: int = 0
    note: str = ""


def prepare(
    target: Target, key: CentreKey, cache: tuple[Host, int], runtime: Mapping[str, int], *, limits: Limits
) -> Prepared:
    """A host's package lists made new through its cache, and the parts of the runtime it lacks laid ready for the
    installer, which checks them: a delivery then sends neither.

    Raises: NotReached, IdentityUnknown, LoginRefused, StepFailed.
    """
    host, port = cache
    parts = " ".join(f"{name}:{size}" for name, size in runtime.items())
    words = ["sudo", "-n", "sh", "-c", _PREPARE, "tram", host.fqdn, str(host.address), str(port), parts]
    if limits.dry:
        words.append("dry")
    with come(target, key) as session:
        answer = session.run(shlex.join(words), within=timedelta(hours=1))
    told = dict(line.split(" ", 1) for line in answer.stdout.splitlines() if " " in line)
    if answer.code != 0 or "lists" not in told:
        raise StepFailed(f"{target.name}: {answer.last_words}")
    return Prepared(int(told["lists"]), int(told.get("runtime", "0")), told.get("note", ""))


# Arguments: the cache's name, address, port; digest:size of the runtime's parts; "dry".
_PREPARE = r"""
export LC_ALL=C.UTF-8
name=$1 address=$2 port=$3 parts=$4 dry=$5
lists=0 got=0 note=
# Ansible's apt, too, takes the age of this directory for the age of the lists.
if [ -z "$dry" ] && [ -z "$(find /var/lib/apt/lists -maxdepth 0 -mmin -60)" ]; then
  said=$(timeout 3000 apt-get -q update 2>&1)
  case $said in
    *'Failed to fetch'* | *E:*) note="package lists: $(printf %s "$said" | grep '^[EW]:' | head -n 1)" ;;
    *) touch /var/lib/apt/lists ;;
  esac
  lists=$(printf '%s\n' "$said" | sed -n 's/^Fetched \([0-9.,]* [kMG]*B\) .*/\1/p' | tr -d , |
    awk '{f["B"]=1; f["kB"]=1000; f["MB"]=1000000; f["GB"]=1000000000; n=$1*f[$2]} END {printf "%d", n}')
fi
if [ ! -r /etc/ssl/tram/host-chain.crt ]; then
  note="${note:+$note; }no certificate yet (role pki): the runtime comes with the first delivery"
elif [ -n "$parts" ]; then
  install -d -m 0755 /var/lib/tram && install -d -m 0700 /var/lib/tram/incoming && cd /var/lib/tram/incoming || exit 1
  find . -name '*.staged' -mtime +30 -delete
  for part in $parts; do
    sum=${part%%:*} size=${part##*:}
    # Who has the base lacks little more, and what that is only a delivery knows.
    grep -qsF "$sum" /opt/tram/runtime/*/index.json && break
    [ "$(stat -c %s "$sum.part" 2>/dev/null)" = "$size" ] && continue
    had=$(stat -c %s "$sum.staged" 2>/dev/null || echo 0)
    [ -z "$dry" ] || { got=$((got + size - had)); continue; }
    # Under another name until it is whole: a delivery may write its own part meanwhile.
    curl --silent --show-error --fail --continue-at - --retry 3 --connect-timeout 20 --speed-time 60 \
      --output "$sum.staged" --resolve "$name:$port:$address" --cacert /etc/ssl/tram/ca.crt \
      --cert /etc/ssl/tram/host-chain.crt --key /etc/ssl/tram/host.key "https://$name:$port/bundles/$sum" 2>curl.err ||
      note="${note:+$note; }runtime: $(tail -n 1 curl.err)"
    rm -f curl.err
    got=$((got + $(stat -c %s "$sum.staged" 2>/dev/null || echo "$had") - had))
    if [ "$(stat -c %s "$sum.staged" 2>/dev/null)" = "$size" ]; then
      if echo "$sum  $sum.staged" | sha256sum --check --status; then mv "$sum.staged" "$sum.part"
      else rm "$sum.staged"; note="${note:+$note; }runtime: what came is not what was sent"; fi
    fi
  done
fi
echo "lists ${lists:-0}"
echo "runtime $got"
[ -z "$note" ] || echo "note $note"
"""
