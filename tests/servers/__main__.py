"""`python -m tests.servers postgresql -- COMMAND {url}`: run a command with a server of its own, gone afterwards."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.servers import postgres


def main() -> int:
    """The exit code of the command; {url} in it is the server's."""
    kind, _, *command = sys.argv[1:]
    if kind not in ("postgresql", "postgres"):
        print(f"there is no server of kind {kind!r}: postgresql", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="sagakit-server-") as folder, postgres.running(Path(folder)) as url:
        return subprocess.run([word.replace("{url}", url) for word in command], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
