"""What was counted, as a test reads it."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from sagakit.telemetry import Telemetry


def samples_of(text: str) -> dict[str, float]:
    """Every sample by its name and sorted labels, as in `name{a="b"}`."""
    samples: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            samples[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return samples


async def counted(telemetry: Telemetry) -> dict[str, float]:
    """All that an engine's metrics say now."""
    found = await telemetry.exposition("")
    assert found is not None
    return samples_of(found[0].decode())
