"""The page of the metrics says what is registered, and nothing else."""

from __future__ import annotations

import re

from tests.docs.pages import DOCS

from sagakit.telemetry.metrics import catalogue


def test_the_page_has_every_metric_as_it_is() -> None:
    text = (DOCS / "reference" / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(sagakit_\w+)` \| (\w+) \| ([^|]*) \| (.*) \|$", text, re.MULTILINE)
    said = {name: (kind, tuple(re.findall(r"`(\w+)`", labels)), words) for name, kind, labels, words in rows}
    assert said == {metric.name: (metric.kind, metric.labels, metric.help) for metric in catalogue.ALL}


def test_metrics_are_named_as_prometheus_asks() -> None:
    for metric in catalogue.ALL:
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert bool(metric.buckets) == (metric.kind == "histogram"), metric.name
        assert list(metric.buckets) == sorted(set(metric.buckets)), metric.name
        assert not {"id", "key", "correlation_id"} & set(metric.labels), metric.name
