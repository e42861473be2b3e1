"""The code that is made of the .proto files is what these files say now."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("grpc_tools")

SOURCE = Path(__file__).parents[4] / "src"
PACKAGE = "sagakit/demos/shop/grpc/generated"
PROTOS = sorted((SOURCE / PACKAGE).with_name("protos").glob("*.proto"))


def test_the_generated_code_is_up_to_date(tmp_path: Path) -> None:
    outputs = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python")]
    paths = [f"{PACKAGE}/{proto.name}" for proto in PROTOS]
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PACKAGE}={PROTOS[0].parent}", *outputs, *paths]
    subprocess.run(command, cwd=tmp_path, check=True)
    made = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / PACKAGE).iterdir()}
    kept = {path.name: path.read_text(encoding="utf-8") for path in (SOURCE / PACKAGE).glob("*_pb2*")}
    assert len(made) == 3 * len(PROTOS)
    assert made == kept, "run make proto"
