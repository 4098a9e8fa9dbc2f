"""The engine of Ray, on a cluster of two nodes of one CPU on this computer."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.parts import Engine, Inline, Part, Work, open_engine
from pipeline.engine.store import PartStore
from pipeline.stage import ENGINE_VARIABLE
from pipeline.tables.incremental import PART_ROWS, Row, update
from preprocess.vocabulary import AXES_VARIABLE
from tests.pipeline.engines import (
    Numbers,
    Payload,
    Then,
    begin_run,
    data_stages,
    draw_dolls,
    kill_a_run,
    made,
    square,
    table,
)

pytest.importorskip("ray", reason="needs `pip install ray`")
pytestmark = pytest.mark.slow  # starts a cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


@pytest.fixture
def engine(cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """As a user opens it."""
    settings = tmp_path / "settings"
    settings.mkdir()
    (settings / "engine.yaml").write_text(f"engine: ray\nray: {{address: '{cluster.address}'}}\n")
    monkeypatch.delenv(ENGINE_VARIABLE, raising=False)
    monkeypatch.chdir(settings)
    return open_engine(workers=1)


def test_two_nodes_make_the_same_file(engine: Engine, tmp_path: Path) -> None:
    numbers = Numbers(500)
    (tmp_path / "inline").mkdir()
    assert made(tmp_path / "inline", numbers) == made(tmp_path, numbers, engine)


def test_every_data_stage_makes_the_same_files(engine: Engine, tmp_path: Path) -> None:
    dolls, here, there = draw_dolls(tmp_path / "dolls"), tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    expected = data_stages(dolls, here, Inline())
    assert {"manifest.parquet", "size_annotations.parquet", "shards/train/index.json"} < expected.keys()
    assert data_stages(dolls, there, engine) == expected


def test_a_killed_node_costs_the_part_that_it_was_making(
    cluster: Any, engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "inline").mkdir()
    node = cluster.add_node(num_cpus=1)
    numbers = Numbers(768, pause=0.002, log=tmp_path / "log")
    killing = Then(engine, lambda: cluster.remove_node(node, allow_graceful=False), after=5)
    assert made(tmp_path / "inline", Numbers(768)) == made(tmp_path, numbers, killing)
    assert 0 <= (tmp_path / "log").stat().st_size - 768 <= 2 * PART_ROWS


def test_a_killed_driver_loses_no_part_that_was_done(engine: Engine, tmp_path: Path) -> None:
    kill_a_run(tmp_path, count=768, after=4)
    (tmp_path / "inline").mkdir()
    numbers = Numbers(768, log=tmp_path / "log")
    assert made(tmp_path, numbers, engine) == made(tmp_path / "inline", Numbers(768))
    assert (tmp_path / "log").stat().st_size - 768 <= 2 * PART_ROWS


def fail(payload: Payload) -> Row:
    raise ValueError(f"no {payload[0]}")


def test_what_a_part_raises_ends_the_run(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no "):
        update(replace(table(tmp_path, Numbers(300)), work=fail), engine)


@cache
def loaded(log: Path) -> None:
    """What takes long to load, and is loaded once a process."""
    with log.open("a") as file:
        file.write(f"{os.getpid()}\n")


def with_model(payload: Payload) -> Row:
    loaded(payload[-1].with_name("loads"))
    return square(payload)


def test_a_worker_loads_its_model_once(engine: Engine, tmp_path: Path) -> None:
    numbers = Numbers(640, log=tmp_path / "log")
    update(replace(table(tmp_path, numbers), work=with_model), engine)
    workers = (tmp_path / "loads").read_text().split()
    assert len(workers) == len(set(workers)) < 640 // PART_ROWS


def see_gpu(log: Path, part: Part, out: Path) -> Counter[str]:  # noqa: ARG001
    """Ray gives a task that asks for a GPU the number of one."""
    with log.open("a") as file:
        file.write(os.environ.get("CUDA_VISIBLE_DEVICES", "none") + "\n")
    return Counter()


def test_a_part_may_ask_for_a_gpu(cluster: Any, engine: Engine, tmp_path: Path) -> None:
    cluster.add_node(num_cpus=1, num_gpus=1)
    run, store = partial(see_gpu, tmp_path / "log"), PartStore(tmp_path / "parts")
    store.begin()
    parts = list(table(tmp_path, Numbers(3 * PART_ROWS)).plan())
    assert len(list(engine.map(Work(run=run, store=store, gpus=1), parts))) == 3
    assert (tmp_path / "log").read_text().split() == ["0", "0", "0"]


def see_axes(log: Path, part: Part, out: Path) -> Counter[str]:  # noqa: ARG001
    with log.open("a") as file:
        file.write(f"{os.environ.get(AXES_VARIABLE)}\n")
    return Counter()


def test_workers_of_a_running_cluster_know_the_axes_of_this_process(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, store = partial(see_axes, tmp_path / "log"), PartStore(tmp_path / "parts")
    store.begin()
    (part,) = table(tmp_path, Numbers(1)).plan()
    for axes in ("sleeve", ""):
        monkeypatch.setenv(AXES_VARIABLE, axes)
        assert list(engine.map(Work(run=run, store=store), [replace(part, key=f"with-{axes}")]))
    assert (tmp_path / "log").read_text().splitlines() == ["sleeve", ""]


def test_without_an_address_a_cluster_starts_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process of its own: this one's Ray knows the other cluster."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(ENGINE_VARIABLE, "ray")
    assert begin_run(tmp_path, 200).wait() == 0
    assert (tmp_path / "squares.parquet").is_file()


def test_a_cluster_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(ENGINE_VARIABLE, "ray")
    Path("engine.yaml").write_text("ray: {address: 'somewhere'}\n")
    with pytest.raises(OSError, match="no Ray cluster at somewhere"):
        made(tmp_path, Numbers(100), open_engine(workers=1))


def test_a_cluster_that_does_not_start_here_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.engine.on_ray import connect

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no room")

    monkeypatch.setattr("ray.init", refuse)
    with pytest.raises(OSError, match="Ray can't start a cluster here: no room"):
        connect(None)


def test_a_run_with_nothing_to_do_asks_for_no_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path, Numbers(100))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(ENGINE_VARIABLE, "ray")
    Path("engine.yaml").write_text("ray: {address: 'somewhere'}\n")
    assert made(tmp_path, Numbers(100), open_engine(workers=1))
