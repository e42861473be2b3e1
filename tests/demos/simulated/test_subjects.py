"""The demos keep their promises under every seed, and their audits find what is broken."""

from __future__ import annotations

import pytest

from sagakit.demos.simulated import SUBJECTS
from sagakit.testing.simulation.broken.planting import Broken
from sagakit.testing.simulation.run import simulate
from sagakit.testing.simulation.seeds import BROKEN, subject_for, subjects_of
from sagakit.testing.simulation.stage import Subject

SEEDS = range(30)

subjects = pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)


@subjects
def test_every_promise_is_kept(subject: Subject) -> None:
    instances = 0
    for seed in SEEDS:
        verdict = simulate(seed, subject)
        assert not verdict.findings, f"seed {seed}"
        instances += verdict.instances
    assert instances > len(SEEDS)


def broken(name: str) -> Broken:
    (found,) = [one for one in BROKEN if one.name == name]
    return found


@subjects
@pytest.mark.parametrize("name", ["acknowledged before the commit", "the state is written without its deliveries"])
def test_a_broken_engine_is_found_by_a_demo_too(subject: Subject, name: str) -> None:
    with broken(name).planted():
        assert any(simulate(seed, subject).findings for seed in SEEDS)


@pytest.mark.parametrize("subject", [one for one in SUBJECTS if "manager" not in one.name and one.name != "hotel"])
def test_what_is_not_undone_is_found(subject: Subject) -> None:
    with broken("nothing is undone").planted():
        assert any(
            finding.promise == 6 or finding.kind == "unsettled"
            for seed in SEEDS
            for finding in simulate(seed, subject).findings
        )


def test_every_other_seed_is_for_a_demo() -> None:
    several = subjects_of(["sagakit.demos.simulated:SUBJECTS"])
    assert len(several) == 1 + len(SUBJECTS)
    assert {subject_for(seed, several).name for seed in range(0, 20, 2)} == {"wanderers"}
    assert {subject_for(seed, several).name for seed in range(1, 20, 2)} == {subject.name for subject in SUBJECTS}
