"""Which worker runs where: found from its code, alike for all workers of the papers."""

import dataclasses
import importlib

import pytest

from benchmarks import workers
from polysemanticity.base import codedigest, paths, runtime
from polysemanticity.engine import placement

CARD = "cuda:0"


@pytest.fixture
def on_a_card(toy_run):
    return dataclasses.replace(toy_run, device=CARD)


def every_worker():
    return {name: worker for slug in paths.papers() for name, worker in workers.workers(slug).items()}


def test_what_reads_no_device_is_a_cpus(on_a_card):
    found = {name: placement.device(worker, {}, on_a_card) for name, worker in every_worker().items()}
    none = {name for name, place in found.items() if place == "cpu"}
    assert {"entropy.rounded_units", "descent.stationary", "sparsification.course", "bits.read_out"} <= none
    assert found["vision.vae"] == found["collisions.count"] == found["design.penalised"] == CARD


def test_a_device_that_was_not_asked_for_is_for_what_gains_by_it(on_a_card):
    run = dataclasses.replace(on_a_card, auto=True)
    found = {name: placement.device(worker, {}, run) for name, worker in every_worker().items()}
    assert found["vision.vae"] == found["shards.sums_of_part"] == CARD
    assert found["necessity.diagnosed"] == found["design.penalised"] == found["error_correction.kept"] == "cpu"
    count = every_worker()["collisions.count"]
    assert placement.device(count, {"method": "adamw"}, run) == CARD
    assert placement.device(count, {"method": "flow"}, run) == placement.device(count, {}, run) == "cpu"
    assert placement.device(count, {"method": "adamw"}, dataclasses.replace(run, device="cpu")) == "cpu"


def test_what_gains_is_there():
    for module, name in placement.GAINING:
        assert callable(getattr(importlib.import_module(f"polysemanticity.{module}"), name))
    reached = [codedigest.reaches(worker, *place) for place in placement.GAINING for worker in every_worker().values()]
    assert any(reached) and not all(reached)


def test_processes_fill_the_cores_and_a_few_share_a_card(toy_run, monkeypatch):
    monkeypatch.setattr(runtime, "cores", lambda: 16)
    assert placement.processes("cpu", toy_run, 100) == 16 and placement.processes("cpu", toy_run, 3) == 3
    assert placement.processes(CARD, toy_run, 100) == placement.SHARE and placement.processes(CARD, toy_run, 1) == 1
    assert placement.processes(CARD, dataclasses.replace(toy_run, profile="paper"), 100) == 1
    threads = dataclasses.replace(toy_run, cfg=dataclasses.replace(toy_run.cfg, threads=8))
    assert placement.processes("cpu", threads, 100) == placement.processes(CARD, threads, 100) == 2
