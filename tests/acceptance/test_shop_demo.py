"""The shop as a newcomer meets it: what the demo prints is typed, and what it promises is seen."""

import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx

SETTLED = ("CONFIRMED", "CANCELLED")


class Shop:
    """`sagakit demo` in a process of its own, and what it said before it took orders."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout
        self.greeting: list[str] = []
        while not self.greeting or "processes history" not in self.greeting[-1]:
            line = process.stdout.readline()
            assert line, "".join(self.greeting)
            self.greeting.append(line.strip())
        self.address = self.greeting[0].partition(" at ")[2]

    def curl(self, number: int) -> list[str]:
        """The words of one of the curl lines that it offers."""
        return shlex.split([line for line in self.greeting if line.startswith("curl")][number])

    def end(self) -> tuple[int, str]:
        """Stop it in order; its exit code, and the account that it gave."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.stdout
        said = self.process.stdout.read()
        return self.process.wait(), said


@contextmanager
def opened(folder: Path, *options: str) -> Iterator[Shop]:
    command = [sys.executable, "-m", "sagakit", "demo", "--port", "0", "--db", str(folder / "shop.db"), *options]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Shop(process)
        finally:
            process.kill()


def typed(words: list[str], **other: str) -> httpx.Response:
    """A curl line, as curl would send it; `data` replaces its body."""
    url = next(word for word in words if word.startswith("http"))
    if "-d" not in words:
        return httpx.get(url)
    headers = dict(value.split(": ") for option, value in pairwise(words) if option == "-H")
    return httpx.post(url, content=other.get("data", words[words.index("-d") + 1]), headers=headers)


def settled(words: list[str]) -> Any:
    while (order := typed(words).json())["status"] not in SETTLED:
        pass
    return order


def looked_up(folder: Path, *words: str) -> Any:
    command = [sys.executable, "-m", "sagakit", *words, "--db", str(folder / "shop.db"), "--json"]
    return json.loads(subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout)


def test_an_order_is_confirmed_and_one_is_undone(tmp_path: Path) -> None:
    with opened(tmp_path) as shop:
        paid, declined = typed(shop.curl(0)), typed(shop.curl(1))
        assert [(answer.status_code, answer.json()["status"]) for answer in (paid, declined)] == [(201, "PENDING")] * 2
        assert settled(shop.curl(2))["status"] == "CONFIRMED"
        cancelled = settled(shop.curl(3))
        reason = "payment declined: 600.00 is above the limit of 500.00"
        assert (cancelled["status"], cancelled["reason"]) == ("CANCELLED", reason)

        (saga,) = [one for one in looked_up(tmp_path, "processes", "list")["items"] if one["key"] == cancelled["id"]]
        assert (saga["status"], saga["cause"]) == ("compensated", "refused")
        history = looked_up(tmp_path, "processes", "history", saga["id"])["items"]
        sent = [(one["message"], one["id"], one["undoes"]) for one in history if one["kind"] == "command"]
        names = ["inventory.ReserveStock", "payments.ChargePayment", "inventory.ReleaseStock", "orders.CancelOrder"]
        assert [name for name, _, _ in sent] == names
        assert sent[2][2] == sent[0][1], "the release undoes the reservation"

        (served,) = httpx.get(f"{shop.address}/api/v1/processes", params={"key": cancelled["id"]}).json()["items"]
        assert (served["id"], served["status"]) == (saga["id"], "compensated")

        again = typed(shop.curl(0))
        assert (again.status_code, again.content) == (201, paid.content)
        assert len(looked_up(tmp_path, "processes", "list")["items"]) == 2
        assert typed(shop.curl(0), data=shop.curl(1)[-1]).status_code == 422
        assert typed(shop.curl(0), data="garbage").status_code == 400
        status, said = shop.end()
    assert status == 0
    lines = [re.sub(r"^\d\d:\d\d:\d\d  ", "", line) for line in said.splitlines() if line[:1].isdigit()]
    undone = [" ".join(line.split()[1:]) for line in lines if line.startswith(cancelled["id"][:8])]
    assert undone == [
        "order placed 1 x prod_1 at 600.00, 600.00 in all, for ann",
        "stock reserved prod_1 14 -> 13 free",
        f"refused {reason}",
        "undo 1: stock released prod_1 13 -> 14 free",
        f"order CANCELLED {reason}",
    ]


def test_a_restart_says_what_is_left_and_repeats_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as shop:
        paid = typed(shop.curl(0))
        assert settled(shop.curl(2))["status"] == "CONFIRMED"
        asked = shop.curl(0)
        shop.end()
    with opened(tmp_path) as shop:
        assert "prod_1 14 free and 1 held" in shop.greeting[2]
        asked = [word if not word.startswith("http") else f"{shop.address}/orders" for word in asked]
        assert typed(asked).content == paid.content
        status, said = shop.end()
        assert status == 0
        assert "order placed" not in said
    with opened(tmp_path, "--fresh") as shop:
        assert "prod_1 15 free, prod_2" in shop.greeting[2]
        assert httpx.get(f"{shop.address}/orders/{paid.json()['id']}").status_code == 404


def test_a_second_shop_on_the_same_file_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path) as shop:
        for options in ([], ["--fresh"]):
            command = [
                sys.executable,
                "-m",
                "sagakit",
                "demo",
                "--port",
                "0",
                "--db",
                str(tmp_path / "shop.db"),
                *options,
            ]
            second = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
            assert second.returncode == 1
            assert second.stderr.count("\n") == 1
            assert f"in use by process {shop.process.pid}" in second.stderr
        assert typed(shop.curl(0)).status_code == 201
