"""What a saga costs on this machine, beside the bare database: what `sagakit bench` runs."""

from __future__ import annotations

from pathlib import Path


def run_bench(
    sagas: int = 2000,
    concurrency: int = 100,
    history: int = 0,
    json_file: Path | None = None,
    db: str | None = None,
) -> None:
    """Measure and print; the figures also go to `json_file`. BenchFailed if a saga does not end as it must.

    `history`: messages in the log before. `db`: a new database to run on, kept; else one for the while.
    """
    from sagakit.bench.run import measure
    from sagakit.bench.sizes import Sizes
    from sagakit.bench.told import show, write_json
    from sagakit.telemetry.logs import log_to_stderr

    log_to_stderr(level="warning")
    figures = measure(Sizes(sagas=sagas, concurrency=concurrency, history=history), db)
    if json_file is not None:
        write_json(figures, json_file)
    show(figures)


def run_batches(items: int, json_file: Path | None = None, db: str | None = None) -> None:
    """Measure batches of 1,000 items, of ten times as many, and so on up to `items`, and print what one item costs."""
    from sagakit.bench.batches.told import measure_and_show

    measure_and_show(items, json_file, db)
