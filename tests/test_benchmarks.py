"""The benchmarks run to their end in the quick setting, and the ways to measure measure what they say."""

import json
import os
import platform
import sys
import time

import numpy as np
import pytest
import torch
import toy_worker

from benchmarks import __main__ as command
from benchmarks import floors, gpu, growth, measure, roofline, run_all, scaling, spectra, table, vae
from polysemanticity.base import codedigest, paths, streams
from polysemanticity.engine import store
from polysemanticity.networks import resnet_vae


def test_quick_run_of_everything_writes_results_and_a_page(tmp_path, capsys):
    assert command.main(["--quick", "--out", str(tmp_path)]) == 0
    (file,) = (tmp_path / "benchmarks" / "results").glob("*.json")
    found = json.loads(file.read_text())
    assert found["quick"] and set(found["cases"]) == set(command.cases())
    assert not [name for name, case in found["cases"].items() if "error" in case]
    page = (tmp_path / "docs" / "benchmarks.md").read_text()
    assert all(case["work"] in page for case in found["cases"].values())


def test_scaling_measures_a_kind_and_plans_from_it(tmp_path, capsys):
    assert scaling.main(["--quick", "--out", str(tmp_path)]) == 0
    (file,) = (tmp_path / "benchmarks" / "results" / "scaling").glob("*-quick.json")
    kinds = json.loads(file.read_text())["kinds"]
    assert set(kinds) == set(scaling.KINDS) and all(kind["cost"] > 0 for kind in kinds.values())
    page = (tmp_path / "docs" / "scaling.md").read_text()
    assert all(kind["what"] in page for kind in kinds.values()) and "GPT-2 XL on 10⁹ tokens" in page
    assert page.startswith((paths.ROOT / "docs" / "scaling.md").read_text().partition("<!-- scaling")[0])


def test_a_plan_is_units_times_cost_and_the_fit_bounds_it():
    grown = {"exponent": 1.2, "stderr": 0.1, "sizes": [1.0, 10.0]}
    found = {"step": {"growth": grown, "cost": 2.0}, "other": {"growth": grown, "cost": 1.0}}
    plan = scaling.Plan("", {"step": 1000.0, "other": 10.0}, 1, 0.0, "")
    best, low, high = scaling.seconds_of(plan, found)
    assert best == 2.0 * 1000 + 10
    assert low == pytest.approx(20 * 100**1.0 + 10) and high == pytest.approx(20 * 100**1.4 + 10)


def test_units_are_those_of_the_published_network():
    assert scaling.block_parameters(48, 1600) == pytest.approx(1.475e9, rel=1e-3)  # of 1.56e9 with the embeddings
    assert scaling.incidental_steps() == 7500


def case(name, run):
    return measure.Case(name, work=f"work {name}", against="nothing | much", aim="≥ 1×", run=run)


def test_results_are_kept_case_by_case_and_a_failure_loses_nothing(tmp_path, monkeypatch, capsys):
    good, bad = case("good", lambda quick: measure.Result(met=True, measured="1")), case("bad", lambda quick: 1 / 0)
    monkeypatch.setattr(command, "cases", lambda: {"good": good, "bad": bad})
    assert command.main(["--only", "good", "--out", str(tmp_path)]) == 0
    assert "| work good | nothing \\| much | ≥ 1× | ✓ 1 |" in (tmp_path / "docs" / "benchmarks.md").read_text()
    assert command.main(["--only", "bad", "--out", str(tmp_path)]) == 1
    (file,) = (tmp_path / "benchmarks" / "results").glob("*.json")
    cases = json.loads(file.read_text())["cases"]
    assert cases["good"]["met"] and cases["bad"]["error"] == "ZeroDivisionError: division by zero"
    page = (tmp_path / "docs" / "benchmarks.md").read_text()
    assert "failed: ZeroDivisionError" in page and "nothing \\| much" in page


def test_what_takes_long_runs_only_when_it_is_named(tmp_path, monkeypatch, capsys):
    runs = []
    long = case("long", lambda quick: runs.append(quick) or measure.Result(met=True))._replace(named_only=True)
    monkeypatch.setattr(command, "cases", lambda: {"long": long})
    for arguments in ([], ["--only", "long"], ["--quick"]):
        assert command.main([*arguments, "--out", str(tmp_path)]) == 0
    assert runs == [False, True]


def test_list_and_unknown_names(capsys):
    assert command.main(["--list"]) == 0
    assert "capacity.phase-diagram" in capsys.readouterr().out
    assert command.main(["--only", "nonsense"]) == 2
    assert "unknown: nonsense; there are: autoencoders.relu-sweep, capacity" in capsys.readouterr().err


def test_pairs_take_turns_and_scale_the_other_side():
    calls = []
    timed = measure.pairs(lambda: calls.append("ours"), lambda: (calls.append("theirs"), time.sleep(0.02)), 3, scale=10)
    assert calls == ["ours", "theirs"] * 4
    assert timed.theirs.low > 0.2 and timed.theirs_cpu.high < 0.1 and timed.ours.n == 3
    assert measure.ratio(timed).median > 10


def test_growth_finds_a_planted_exponent():
    sizes = np.geomspace(10, 1000, 5)
    found = measure.growth("time", "n", sizes, 3 * sizes**1.5, 1.5)
    assert found.exponent == pytest.approx(1.5) and found.stderr < 1e-6
    with pytest.raises(ValueError, match="sizes = "):
        measure.growth("time", "n", [1, 2], [1, 2], 1.0)
    with pytest.raises(ValueError, match="values = "):
        measure.growth("time", "n", [1, 2, 3], [1, 0, 2], 1.0)
    with pytest.raises(ValueError, match="n_pairs = 0"):
        measure.pairs(int, int, 0)


def test_a_kernel_is_measured_against_its_higher_floor(monkeypatch):
    monkeypatch.setattr(measure, "matrix_rate", lambda dtype, device: {"float64": 100.0}[dtype])
    monkeypatch.setattr(measure, "bandwidth", lambda device: 10.0)
    found = measure.kernel("work", 6.0, operations=200, n_bytes=30, kind="float64")
    assert (found.operations_floor, found.bytes_floor, found.gap) == (2.0, 3.0, 2.0)


def test_rates_of_this_machine_are_those_of_a_product_and_of_a_copy():
    start = time.perf_counter()
    rate, bytes_per_second = measure.matrix_rate("float32"), measure.bandwidth()
    seconds = time.perf_counter() - start
    assert rate > 5 * 2 * 2048**3 / seconds and bytes_per_second > 5 * 2 * 4 * 2**25 / seconds


def test_a_profile_is_shares_of_the_time_and_names_what_takes_it():
    a = torch.randn(700, 700)
    found = dict(measure.profile(lambda: [a @ a for _ in range(5)]))
    assert max(found, key=found.get) == "mm" and sum(found.values()) == pytest.approx(1)


def test_the_time_in_which_a_worker_was_running():
    assert run_all.covered([(3, 5), (0, 2), (1, 4), (7, 8), (7.5, 7.75)]) == 6
    assert run_all.covered([]) == 0


def test_the_store_says_when_a_result_was_computed(tmp_path):
    (tmp_path / "worker").mkdir()
    identity = {"worker": "worker", "seconds": 2.5}
    file = tmp_path / "worker" / f"{store.key(identity)}.npz"
    file.write_bytes(store.pack({"value": 1.0}, identity))
    os.utime(file, (100.0, 100.0))
    assert run_all.worked(tmp_path) == [(97.5, 100.0)]


def test_the_density_fit_finds_a_planted_density_and_its_error():
    draws = [1 / np.random.default_rng(seed).random(2000) for seed in range(20)]  # density x^-2 above 1
    found = np.array([spectra.likelihood_fit(one) for one in draws])
    assert found[:, 0].mean() == pytest.approx(2, abs=0.05)
    assert np.std(found[:, 0]) == pytest.approx(found[:, 1].mean(), rel=0.7)


def test_the_operations_of_the_resnet_are_those_of_its_encoder():
    model = resnet_vae.ResNetVAE(image_size=224)
    decoder = 2 * (256 * 1024 + 1024 * 1024 + 512 * 1024 + 1024 * 1024 + 2 * 1024 * 256)
    decoder += 2 * 9 * (64 * 32 * 4**2 + 32 * 8 * 9**2 + 8 * 3 * 19**2)
    assert vae.forward_operations(model, 224) - decoder == pytest.approx(2 * 1.814e9, rel=1e-3)  # of ResNet18


def test_growth_expects_what_its_law_says_at_the_very_sizes(monkeypatch):
    monkeypatch.setattr(growth, "_seconds", lambda work: work() ** 2)
    sweep = growth.Sweep("time", lambda n, m: lambda: n, "n", (1, 10, 100), "n² + 5", lambda n: n**2 + 5, {"m": 3})
    found = sweep.run()
    assert found.exponent == pytest.approx(2) and 1 < found.expected < 2
    assert found.what == "time ∝ n² + 5, m = 3" and found.sizes == (1, 10, 100)


def test_peak_memory_is_that_of_the_work():
    assert measure.peak_memory("tests.toy_worker:allocate", n_bytes=80_000_000) == pytest.approx(8e7, rel=0.1)
    each = [{"n_bytes": n} for n in (80_000_000, 160_000_000, 60_000_000)]
    assert measure.peak_memories("tests.toy_worker:allocate", each) == pytest.approx([8e7, 1.6e8, 6e7], rel=0.1)
    with pytest.raises(RuntimeError, match="no attribute 'missing'"):
        measure.peak_memory("tests.toy_worker:missing")


def test_the_stamp_names_no_host():
    stamp = measure.stamp(1)
    assert stamp["threads"] == 1 and stamp["cores"] >= 1 and platform.node() not in json.dumps(stamp)
    assert measure.machine(stamp).replace("-", "").isalnum()
    assert table.page({"a": {"stamp": stamp, "quick": False, "cases": {}}}).startswith("# Benchmarks")


def test_a_dry_run_of_what_a_gpu_has_to_show(tmp_path, capsys):
    out = tmp_path / "found.json"
    assert gpu.main(["--dry-run", "--only", "precision", "language", "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    assert found["dry_run"] and found["stamp"]["device"] == "cpu" and set(found["checks"]) == {"precision", "language"}
    assert all(check["ok"] for check in found["checks"].values())
    assert 0 < max(found["checks"]["precision"]["as asked"].values()) < gpu.FLOAT32
    assert found["checks"]["language"]["tokens per second"] > 0


def test_a_gpu_check_that_fails_crashes_or_hangs_stops_no_other(tmp_path, monkeypatch, capsys):
    program = """
import sys, time, pathlib
folder, *names = sys.argv[1:]
for name in names:
    if name == "repetition": sys.exit(3)
    if name == "correctness": time.sleep(60)
    part = pathlib.Path(folder, "part")
    part.write_text('{"ok": %s}' % ("false" if name == "rates" else "true"))
    part.rename(pathlib.Path(folder, name + ".json"))
"""
    monkeypatch.setattr(gpu, "_call", lambda folder, _, names, quick: [sys.executable, "-c", program, folder, *names])
    monkeypatch.setattr(gpu, "CHECKS", tuple(check._replace(seconds=10 / gpu.PATIENCE) for check in gpu.CHECKS))
    out = tmp_path / "found.json"
    assert gpu.main(["--dry-run", "--out", str(out)]) == 1
    checks = json.loads(out.read_text())["checks"]
    assert list(checks) == [check.name for check in gpu.CHECKS]
    assert checks["repetition"]["error"] == "its process ended with 3"
    assert checks["correctness"]["error"] == "its process took too long"
    assert {name for name, check in checks.items() if check["ok"]} == {"precision", "language", "tests", "smoke"}


def test_a_gpu_check_that_raises_says_what(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "CHECKS", (gpu.Check("bad", 1, lambda device, quick: 1 / 0),))
    gpu._child(str(tmp_path), "cpu", ["bad"], True)
    found = json.loads((tmp_path / "bad.json").read_text())
    assert not found["ok"] and found["error"] == "ZeroDivisionError: division by zero" and "1 / 0" in found["said"]


def test_differences_of_a_workers_values():
    assert gpu.difference([1.0, 2.0], [1.0, 2.002]) == pytest.approx(1e-3, rel=0.01)
    assert gpu.difference(np.array([np.nan, 4.0]), np.array([np.nan, 4.0])) == 0
    assert gpu.difference([1.0], [1.0, 2.0]) == gpu.difference([np.nan], [1.0]) == gpu.difference("a", "b") == np.inf


def test_random_numbers_of_another_device_come_from_the_host():
    with gpu.DrawnOnTheHost() as draws:
        there = streams.generator(3, "data", "meta")
        assert there.device.type == "meta"
        drawn = torch.randn(4, generator=there, device="cpu")
        filled = torch.empty(4).uniform_(generator=there)
    here = streams.generator(3, "data")
    torch.testing.assert_close(drawn, torch.randn(4, generator=here), rtol=0, atol=0)
    torch.testing.assert_close(filled, torch.empty(4).uniform_(generator=here), rtol=0, atol=0)
    assert not draws.own_draws and streams.generator(0, "a").device.type == "cpu"


def test_the_expected_rates_are_those_of_the_page_and_what_binds_is_the_slowest():
    page = (paths.ROOT / "docs" / "scaling.md").read_text()
    assert roofline.table() in page
    card = roofline.Card("", bfloat16=100.0, float32=10.0, float64=1.0, n_bytes=10.0)
    work = roofline.Work("", operations=20.0, kind="float32", n_bytes=8.0, kernels=1e6, makes=1, unit="steps")
    assert roofline.seconds(work, card) == (pytest.approx(5.0), "launches")
    assert roofline.seconds(work._replace(kernels=1), card) == (pytest.approx(4.0), "products")


def test_products_of_torch_and_numpy_are_counted_each_once():
    a, b, w = torch.randn(5, 7, requires_grad=True), torch.randn(7, 3), torch.randn(2, 4, 5)
    counted, x = floors.Counted(), np.ones((4, 5))
    with counted.counting():
        (a @ b).sum().backward()  # forward, and the gradient of a
        w @ w.mT  # one triangle
        with torch.inference_mode():
            torch.nn.functional.linear(b, torch.randn(2, 3))
        torch.linalg.svdvals(torch.randn(6, 3))
        torch.linalg.qr(torch.randn(6, 3))
        torch.linalg.eigvalsh(torch.eye(6, dtype=torch.float64))
        np.linalg.eigvalsh(np.eye(6))
        np.matmul(x, np.ones((5, 6)))
        np.matmul(x, x.T)
    assert counted.products["float32"] == 2 * (2 * 5 * 7 * 3) + 2 * 4 * 4 * 5 + 2 * 7 * 3 * 2 + (216 - 36) + (108 - 18)
    assert counted.products["float64"] == 2 * 288 + 2 * 4 * 5 * 6 + 4 * 4 * 5
    assert counted.starts > 8 and counted.in_products > 0 and counted.in_others > 0
    before = counted.starts
    a @ b, np.linalg.eigvalsh(np.eye(2))
    assert counted.starts == before and counted.products["float64"] == 2 * 288 + 320


def test_a_workers_longest_result_stands_for_it_and_results_of_other_code_do_not(tmp_path):
    worker, name = toy_worker.draw, f"{toy_worker.__name__}.draw"
    same = {"worker": name, "config": {"scale": 1}, "device": "cpu", "threads": 1, "code": codedigest.digest(worker)}
    for seed, seconds, code in ((0, 1.0, None), (1, 3.0, None), (2, 9.0, "another")):
        identity = same | {"seed": seed, "seconds": seconds} | ({"code": code} if code else {})
        path = tmp_path / "draw" / f"{store.key(identity)}.npz"
        path.parent.mkdir(exist_ok=True)
        store.write(path, store.pack({"y": 1}, identity))
    (found,) = floors.longest(tmp_path)
    assert found.call.seed == 1 and found.n_results == 2 and found.seconds == 4.0


def test_a_worker_of_which_nothing_is_counted_has_a_row_too():
    worker = measure.Floor("of.numpy", 0.5, 3, 2.0, 0.0, 0, 0.0, 0.0, 0.0, 0.0)._asdict()
    assert "| too little counted | 0% | 0% | 100% |" in table._above(worker)
    assert "| 4 | 25% | 0% | 75% |" in table._above(worker | {"products_floor": 0.5, "in_products": 0.25})
    hardly = {"products_floor": 1e-6, "in_products": 0.05}
    assert "| too little counted | 5% | 0% | 95% |" in table._above(worker | hardly)
    slowed = {"products_floor": 0.5, "in_products": 0.6, "in_others": 0.6}  # by the counting
    assert "| 4 | 50% | 50% | 0% |" in table._above(worker | slowed)
