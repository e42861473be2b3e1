"""What is shipped to run and watch a shop: it names only what is there."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.docs.command_line import problem

from sagakit.telemetry.metrics import catalogue

ROOT = Path(__file__).parents[2]
OPS = ROOT / "ops"
DASHBOARDS = sorted((OPS / "grafana" / "dashboards").glob("*.json"))
OF_PROMETHEUS = {"job", "instance", "le"}
OF_PROCESS = {"process_cpu_seconds_total", "process_resident_memory_bytes"}
WORDS = {"sum", "max", "min", "by", "and", "rate", "increase", "delta", "min_over_time", "histogram_quantile"}
WORDS |= {"absent", "label_values"}


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def samples() -> dict[str, set[str]]:
    """The labels of every sample that Prometheus may read, by its name."""
    found: dict[str, set[str]] = {name: set() for name in OF_PROCESS}
    for metric in catalogue.ALL:
        endings = ("_bucket", "_sum", "_count") if metric.kind == "histogram" else ("",)
        found |= {f"{metric.name}{ending}": set(metric.labels) for ending in endings}
    return found


KNOWN = samples()


def problems(expression: str) -> Iterator[str]:
    """What a PromQL expression names that is not there."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    named: set[str] = set()
    for found in re.finditer(r"([a-z_]+[a-z_0-9]*)(\{[^}]*\})?", re.sub(r"by \([^)]*\)|\[[^\]]*\]", "", bare)):
        name, matchers = found[1], found[2] or ""
        if name in WORDS or name in OF_PROMETHEUS:
            continue
        if name not in KNOWN:
            yield f"no metric {name}"
            continue
        named.add(name)
        for label in re.findall(r"([a-z_]+)\s*(?:=~|!=|!~|=)", matchers):
            if label not in KNOWN[name] | OF_PROMETHEUS:
                yield f"{name} has no label {label}"
    if not named:
        yield "it names no metric"
    shared = set[str]().union(*(KNOWN[name] for name in named)) | OF_PROMETHEUS
    for grouped in re.findall(r"by \(([^)]*)\)", bare):
        for label in map(str.strip, grouped.split(",")):
            if label not in shared:
                yield f"nothing to group by {label}"
    if bare.count("(") != bare.count(")") or bare.count("{") != bare.count("}"):
        yield "its brackets do not match"


def test_an_expression_that_names_what_is_not_there_is_found() -> None:
    assert list(problems('sum by (consumer) (rate(sagakit_deliveries{state="parked"}[5m]))')) == []
    assert list(problems("rate(sagakit_none_total[5m])")) == ["no metric sagakit_none_total", "it names no metric"]
    assert list(problems('sagakit_deliveries{key="a"}')) == ["sagakit_deliveries has no label key"]
    assert list(problems("sum by (key) (sagakit_deliveries)")) == ["nothing to group by key"]


# ---------------------------------------------------------------------- Prometheus


def alerts() -> list[dict[str, Any]]:
    return [rule for group in read(OPS / "prometheus" / "alerts.yml")["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_is_about_what_is_measured_and_has_a_runbook(rule: dict[str, Any]) -> None:
    assert list(problems(rule["expr"])) == []
    assert rule.keys() == {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"\d+[smh]", rule["for"])
    assert rule["labels"]["severity"] in ("critical", "warning")
    page = (ROOT / rule["annotations"]["runbook_url"]).read_text(encoding="utf-8")
    assert page.startswith(f"# {rule['annotations']['summary']}\n\n`{rule['alert']}`")
    assert rule["expr"].strip() in page
    assert all(f"## {part}\n" in page for part in ("What it means", "Look", "Do"))


def test_every_runbook_is_of_an_alert() -> None:
    pages = {str(page.relative_to(ROOT)) for page in (ROOT / "docs" / "runbooks").glob("*.md")}
    named = {rule["annotations"]["runbook_url"] for rule in alerts()}
    assert pages - {"docs/runbooks/README.md"} == named
    index = (ROOT / "docs" / "runbooks" / "README.md").read_text(encoding="utf-8")
    assert all(f"`{rule['alert']}`" in index for rule in alerts())


def test_prometheus_reads_each_service_where_the_door_has_it() -> None:
    config, door = read(OPS / "prometheus" / "prometheus.yml"), (OPS / "door" / "nginx.conf").read_text()
    assert all((OPS / "prometheus" / name).exists() for name in config["rule_files"])
    for job in config["scrape_configs"]:
        assert f"location = {job['metrics_path']} {{" in door
        assert job["static_configs"] == [{"targets": ["gateway:8000"]}]


# ---------------------------------------------------------------------- Grafana


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_shows_what_is_measured(path: Path) -> None:
    board = json.loads(path.read_text(encoding="utf-8"))
    assert (board["uid"], board["schemaVersion"] >= 39) == (path.stem, True)
    uids = {source["uid"] for source in read(OPS / "grafana/provisioning/datasources/datasources.yaml")["datasources"]}
    variables = {variable["name"] for variable in board["templating"]["list"]}
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids) > 8
    for variable in board["templating"]["list"]:
        assert list(problems(variable["definition"].replace(f", {variable['name']})", ")"))) == []
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        assert panel["datasource"]["uid"] in uids
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            assert list(problems(target["expr"])) == [], panel["title"]
            assert set(re.findall(r"\$([a-z]+)", target["expr"])) <= variables
            legend = re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
            assert all(label in target["expr"] or label in OF_PROMETHEUS for label in legend), panel["title"]


def test_panels_do_not_overlap() -> None:
    for path in DASHBOARDS:
        taken: set[tuple[int, int]] = set()
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            at = panel["gridPos"]
            cells = {(at["x"] + dx, at["y"] + dy) for dx in range(at["w"]) for dy in range(at["h"])}
            assert not cells & taken, f"{path.stem}: {panel['title']}"
            taken |= cells


def test_every_metric_is_on_a_dashboard() -> None:
    shown = "".join(path.read_text(encoding="utf-8") for path in DASHBOARDS)
    assert [metric.name for metric in catalogue.ALL if metric.name not in shown] == []


# ---------------------------------------------------------------------- compose, collector


def test_compose_names_what_is_there() -> None:
    compose = read(OPS / "compose.yaml")
    services = compose["services"]
    for name, service in services.items():
        assert {"image", "build"} & service.keys(), name
        assert set(service.get("depends_on", ())) <= services.keys(), name
        shared = service.get("network_mode", "")
        assert not shared or shared.removeprefix("service:") in services, name
        assert not (shared and "ports" in service), f"{name}: its ports are those of another"
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            there = (OPS / source).exists() if source.startswith("./") else source in compose["volumes"]
            assert there, f"{name}: {volume}"
    build = services["gateway"]["build"]
    assert (OPS / build["context"] / build["dockerfile"]).exists()


def test_compose_calls_the_command_line_as_it_is() -> None:
    services = read(OPS / "compose.yaml")["services"]
    shop = {name: one for name, one in services.items() if one.get("image") == "sagakit"}
    assert shop.keys() == {"gateway", "order", "payment", "inventory"}
    for service in shop.values():
        assert problem(["sagakit", *service["command"]], whole=True) is None
    door = (OPS / "door" / "nginx.conf").read_text()
    assert "proxy_set_header Host $http_host;" in door, "with its port: else a page of the shop would be another's"
    for name, service in shop.items():
        port = service["environment"].get("SAGAKIT_HTTP_PORT", "8080")
        assert f"location = /metrics/{name} {{ proxy_pass http://127.0.0.1:{port}/metrics; }}" in door


def test_what_has_no_authentication_is_published_on_this_machine_alone() -> None:
    published = [port for one in read(OPS / "compose.yaml")["services"].values() for port in one.get("ports", ())]
    assert len(published) > 2
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_each_container_of_the_shop_and_its_stores_says_how_it_is() -> None:
    services = read(OPS / "compose.yaml")["services"]
    watched = {name for name, one in services.items() if "healthcheck" in one}
    assert watched == {"gateway", "order", "payment", "inventory", "postgres", "valkey", "kafka"}


async def test_the_shops_containers_are_asked_where_they_answer(tmp_path: Path) -> None:
    _, program, option, script = read(OPS / "compose.yaml")["services"]["order"]["healthcheck"]["test"]
    (tmp_path / program).symlink_to(sys.executable)  # a machine may have no program of this name, the image has
    assert script.count("timeout=3") == 1
    script = script.replace("timeout=3", "timeout=60")  # who answers here may be held up
    asked: list[str] = []

    async def ask(port: int) -> int:
        environment = {"PATH": str(tmp_path), "SAGAKIT_HTTP_PORT": str(port)}
        ended = await asyncio.create_subprocess_exec(
            program, option, script, env=environment, stderr=asyncio.subprocess.DEVNULL
        )
        return await ended.wait()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode().splitlines()[0])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await ask(port) == 0
    assert asked == ["GET /health/live HTTP/1.1"]
    assert await ask(port) == 1


def test_over_topics_the_shop_is_the_same_but_for_its_broker() -> None:
    services = read(OPS / "compose.yaml")["services"]
    changed = read(OPS / "compose.kafka.yaml")["services"]
    assert changed.keys() == {"gateway", "order", "payment", "inventory"}
    for name, service in changed.items():
        assert service.keys() == {"command", "depends_on"}  # compose merges depends_on by name
        assert set(service["depends_on"]) <= services.keys()
        assert service["command"] == [*services[name]["command"], "--kafka", "kafka://kafka:9092"]
        assert problem(["sagakit", *service["command"]], whole=True) is None


def test_the_collector_joins_what_it_has() -> None:
    config = read(OPS / "otel-collector" / "config.yaml")
    for name, pipeline in config["service"]["pipelines"].items():
        for kind in ("receivers", "processors", "exporters"):
            assert set(pipeline[kind]) <= config[kind].keys(), name
    hosts = {str(one["endpoint"]).removeprefix("http://").partition(":")[0] for one in config["exporters"].values()}
    assert hosts <= read(OPS / "compose.yaml")["services"].keys()


@pytest.mark.parametrize("path", sorted(OPS.rglob("*.y*ml")), ids=lambda path: path.name)
def test_every_file_of_settings_can_be_read(path: Path) -> None:
    assert isinstance(read(path), dict)
