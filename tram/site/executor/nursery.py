"""A warm interpreter in the state a module expects, from which each module gets a forked child of its own.

Started once a run as a program of its own, so that nothing of the engine is in it: it knows `ansible.module_utils` as
a module sees it on a target host, and no package of the runtime besides. What it imports once, every module finds
imported; what a module does to its interpreter dies with the module.

    python3 -I nursery.py SOCKET_FD RUNTIME

Requests and replies on the socket: 4 bytes big-endian length, then a pickled dict. Only the engine that started it is
at the other end. A request has: module (dotted name), path, params (JSON bytes), profile, env (to add), cwd,
module_utils and collections (folders to search); the reply: rc, stdout, stderr (bytes). SIGUSR1 kills the module that
runs now.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import importlib.machinery
import os
import pickle
import runpy
import signal
import socket
import struct
import sys
import threading
import time
import types
from pathlib import Path
from typing import Any, NoReturn

_HEADER = struct.Struct(">I")
_HERE = Path(__file__).resolve().parent
# What reads the host's settings when it is imported must not be kept from an earlier moment of the run.
_NEVER_KEPT = ("apt", "apt_pkg", "apt_inst", "aptsources", "__main__", "__mp_main__")


def main() -> NoReturn:
    connection = socket.socket(fileno=int(sys.argv[1]))
    runtime = sys.argv[2]
    sys.dont_write_bytecode = True  # the tree that was delivered stays as it was delivered
    sys.path[:] = [part for part in sys.path if part != str(_HERE)]
    os.setsid()
    _stand_in("ansible", [f"{runtime}/ansible"])
    importlib.import_module("ansible.module_utils.basic")
    importlib.import_module("ansible.module_utils._internal._ansiballz._loader")
    Nursery(connection, runtime).serve()


class Nursery:
    """The loop: read a request, fork a child for it, wait for its end, reply with all it wrote."""

    def __init__(self, connection: socket.socket, runtime: str) -> None:
        self._connection = connection
        self._runtime = runtime
        self._child = 0
        self._code: dict[str, types.CodeType] = {}
        self._imports: dict[str, list[str]] = {}
        self._opened: Any = None

    def serve(self) -> NoReturn:
        signal.signal(signal.SIGUSR1, self._kill_child)
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        while True:
            request = receive(self._connection)
            if request is None:
                os._exit(0)
            self._prepare(request)
            send(self._connection, self._run(request))

    def _prepare(self, request: dict[str, Any]) -> None:
        """Do once, before the fork, what every child of this module would do anew."""
        path = request["path"]
        if path not in self._code:
            loader = importlib.machinery.SourceFileLoader(request["module"], path)
            with contextlib.suppress(Exception):  # the child meets the same error and reports it as a module would
                self._code[path] = loader.get_code(request["module"])  # type: ignore[assignment]
        _add_folders(request["module_utils"], request["collections"])
        for name in self._imports.pop(path, ()):
            with contextlib.suppress(BaseException):
                importlib.import_module(name)
        if request["module"] == "ansible.modules.apt" and self._opened is None:
            with contextlib.suppress(Exception):
                self._opened = _packages().open_cache()

        gc.freeze()  # what is here by now is not looked at by the children's collectors, and so not copied for them

    def _run(self, request: dict[str, Any]) -> dict[str, Any]:
        out, err, learnt = (os.memfd_create(name) for name in ("out", "err", "learnt"))
        try:
            self._child = os.fork()
            if self._child == 0:
                self._become_module(request, out, err, learnt)
            _, status = os.waitpid(self._child, 0)
            self._child = 0
            names = _read(learnt).decode().split()
            if names and request["path"] not in self._imports:
                self._imports[request["path"]] = names
            return {"rc": os.waitstatus_to_exitcode(status), "stdout": _read(out), "stderr": _read(err)}
        finally:
            for fd in (out, err, learnt):
                os.close(fd)

    def _become_module(self, request: dict[str, Any], out: int, err: int, learnt: int) -> NoReturn:
        code = 1
        try:
            os.setsid()
            for number in (signal.SIGUSR1, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._connection.close()
            null = os.open(os.devnull, os.O_RDONLY)
            for source, target in ((null, 0), (out, 1), (err, 2)):
                os.dup2(source, target)
            os.close(null)
            os.chdir(request["cwd"])
            os.environ.pop("TRAM_RUN", None)  # marks processes of the run, not what a module leaves running
            os.environ.update(request["env"])
            time.tzset()
            known = set(sys.modules)
            code = self._module(request)
            _finish()
            _remember(learnt, set(sys.modules) - known)
        except BaseException:
            import traceback  # noqa: PLC0415

            traceback.print_exc()
            with contextlib.suppress(BaseException):
                sys.stderr.flush()
        finally:
            os._exit(code)

    def _module(self, request: dict[str, Any]) -> int:
        """Run the module as `__main__`, as Ansible's own wrapper does on a host; returns its exit code."""
        basic = sys.modules["ansible.module_utils.basic"]
        loader = sys.modules["ansible.module_utils._internal._ansiballz._loader"]
        vars(basic).update(_ANSIBLE_ARGS=request["params"], _ANSIBLE_PROFILE=request["profile"])
        if self._opened is not None:
            _packages().lend(self._opened)
        module, path = request["module"], request["path"]
        sys.argv = [path]
        main_module = types.ModuleType("__main__")
        vars(main_module).update(
            __file__=path,
            __package__=module.rpartition(".")[0],
            __spec__=importlib.machinery.ModuleSpec(module, None, origin=path),
            _module_fqn=module,
            _modlib_path=self._runtime,
        )
        sys.modules["__main__"] = main_module
        try:
            try:
                if path in self._code:
                    exec(self._code[path], vars(main_module))  # noqa: S102
                else:
                    runpy.run_path(path, run_name="__main__")
                raise RuntimeError("New-style module did not handle its own exit.")
            except Exception as error:
                loader._handle_exception(error, request["profile"])
                return 1
        except SystemExit as leaving:
            return _exit_code(leaving)

    def _kill_child(self, *_: object) -> None:
        if self._child:
            with contextlib.suppress(OSError):
                os.killpg(self._child, signal.SIGKILL)
            with contextlib.suppress(OSError):
                os.kill(self._child, signal.SIGKILL)

    def _end(self, *_: object) -> NoReturn:
        if self._child:
            with contextlib.suppress(OSError):
                os.killpg(self._child, signal.SIGTERM)
        os._exit(143)


def send(connection: socket.socket, document: dict[str, Any]) -> None:
    """Write one message."""
    content = pickle.dumps(document, protocol=5)
    connection.sendall(_HEADER.pack(len(content)) + content)


def receive(connection: socket.socket) -> dict[str, Any] | None:
    """Read one message; None when the other end is gone."""
    header = _exactly(connection, _HEADER.size)
    if header is None:
        return None
    content = _exactly(connection, _HEADER.unpack(header)[0])
    return None if content is None else pickle.loads(content)  # noqa: S301


def _exactly(connection: socket.socket, count: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < count:
        part = connection.recv(min(count - len(parts), 1 << 20))
        if not part:
            return None
        parts += part
    return bytes(parts)


def _stand_in(name: str, folders: list[str]) -> None:
    """A package of which only the search path matters, as in the archive Ansible sends to a host."""
    package = types.ModuleType(name)
    package.__path__ = folders
    package.__file__ = f"{folders[0]}/__init__.py" if folders else None
    package.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
    package.__spec__.submodule_search_locations = folders
    sys.modules[name] = package


def _add_folders(module_utils: list[str], collections: list[str]) -> None:
    """Where support code of roles and of collections lies; known better with each role that is loaded."""
    path = sys.modules["ansible.module_utils"].__path__
    path[:0] = [folder for folder in module_utils if folder not in path]
    folders = [f"{folder}/ansible_collections" for folder in collections]
    if "ansible_collections" not in sys.modules:
        _stand_in("ansible_collections", folders)
    known = sys.modules["ansible_collections"].__path__
    known.extend(folder for folder in folders if folder not in known)


def _packages() -> Any:
    loader = importlib.machinery.SourceFileLoader("tram_packages", str(_HERE / "packages.py"))
    module = types.ModuleType(loader.name)
    loader.exec_module(module)
    return module


def _finish() -> None:
    """What an interpreter does at its end: threads, exit handlers (temporary folders), buffers."""
    vars(threading)["_shutdown"]()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()


def _remember(fd: int, names: set[str]) -> None:
    """Tell the parent what this module imported, in the order of import."""
    kept = [
        name
        for name in list(sys.modules)
        if name in names
        and name.partition(".")[0] not in _NEVER_KEPT
        and getattr(sys.modules[name], "__spec__", None) is not None
    ]
    os.write(fd, " ".join(kept).encode())


def _exit_code(leaving: SystemExit) -> int:
    if leaving.code is None:
        return 0
    if isinstance(leaving.code, int):
        return leaving.code & 0xFF
    sys.stderr.write(f"{leaving.code}\n")
    return 1


def _read(fd: int) -> bytes:
    size = os.fstat(fd).st_size
    os.lseek(fd, 0, os.SEEK_SET)
    parts = []
    while size > 0 and (part := os.read(fd, size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


if __name__ == "__main__":
    main()
