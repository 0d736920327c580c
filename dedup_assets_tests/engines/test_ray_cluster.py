"""What a person is told when there is no Ray, or no cluster where they said. No cluster is started here."""

import builtins
import importlib.util
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from dedup_assets.core.engines import ray_cluster
from dedup_assets.core.engines.base import RaySettings
from dedup_assets.core.engines.ray import RayEngine
from dedup_assets.core.engines.ray_cluster import connect
from dedup_assets.core.errors import EmbedderError, EngineError, SettingsError
from dedup_assets.core.project import project_of, remembered
from dedup_assets.core.sources.folder import Folder
from dedup_assets.core.steps.embeddings import EmbedPictures
from dedup_assets_tests.chain import chain_in

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="pip install 'dedup-assets[ray]'")


def test_without_ray_the_remedy_is_told(tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ray" else found(name))
    with pytest.raises(EngineError, match=r"engine 'ray' needs Ray.*pip install 'dedup-assets\[ray\]'"):
        RayEngine(str(tmp_path))


@needs_ray
@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_where_nothing_listens_is_named_at_once(scheme):
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"{scheme}127.0.0.1:{free.getsockname()[1]}"
    began = time.monotonic()
    with pytest.raises(EngineError, match=rf"cannot reach a Ray cluster at '{address}'.*see that the cluster runs"):
        connect(RaySettings(address=address), None, print)
    assert time.monotonic() - began < 10


@needs_ray
@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_what_listens_but_is_no_cluster_is_told_at_once(scheme):
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as dashboard:
        threading.Thread(target=dashboard.handle_request).start()
        address = f"{scheme}127.0.0.1:{dashboard.server_port}"
        with pytest.raises(EngineError, match=f"what answers at '{address}' is no Ray cluster; its ports are"):
            connect(RaySettings(address=address), None, print)


@needs_ray
def test_what_listens_and_never_answers_is_told_soon(monkeypatch):
    monkeypatch.setattr(ray_cluster, "_REACH_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(EngineError, match=rf"cannot reach a Ray cluster at '{address}' \(timed out\)"):
            connect(RaySettings(address=address), None, print)


@needs_ray
@pytest.mark.parametrize("address", ["nonsense", "ray://", "host", "host:port", "http://"])
def test_what_is_no_address_is_refused_with_the_forms_there_are(address):
    with pytest.raises(EngineError, match=r"no address of a Ray cluster; give ray://HOST:10001, HOST:6379"):
        connect(RaySettings(address=address), None, print)


@pytest.mark.parametrize(("setting", "value"), [("ray_cpus", 0.0), ("ray_cpus", float("nan")), ("ray_gpus", -1.0)])
def test_what_no_worker_can_ask_for_is_refused(tmp_path, setting, value):
    with pytest.raises(SettingsError, match=f"{setting} is"):
        assert chain_in(tmp_path, **{setting: value}).project


def test_ray_is_imported_by_what_uses_it_only(monkeypatch, tmp_path):
    real = builtins.__import__

    def refuse(name, *rest):
        assert name.split(".")[0] != "ray", "imported with no cluster in use"
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    assert list(RayEngine(str(tmp_path / "exchange")).each(str, [1])) == ["1"]


def test_the_settings_of_ray_are_remembered_by_the_store(tmp_path):
    settings = {"engine": "ray", "ray_address": "ray://head:10001", "ray_cpus": 2.0, "ray_storage": "memory://shared"}
    project = project_of(tmp_path / "images", tmp_path / "store", **settings)
    project.remember()
    assert remembered(project.store) == project
    assert project.exchange.startswith("memory://shared/")


def test_a_store_of_a_release_without_ray_is_read(tmp_path):
    project = project_of(tmp_path / "images", tmp_path / "store")
    project.remember()
    said = project.store.fact("project")
    project.store.set_fact(
        "project", said.replace(', "ray": {"address": null, "cpus": 1.0, "gpus": 0.0, "storage": null}', "")
    )
    assert '"ray"' not in project.store.fact("project")
    assert remembered(project.store) == project


def test_two_stores_never_meet_in_one_storage(tmp_path):
    settings = {"engine": "ray", "ray_storage": "memory://shared"}
    one, other = (project_of(tmp_path, tmp_path / name, **settings) for name in ("one", "other"))
    assert one.exchange != other.exchange


def test_processes_of_a_cluster_decode_in_as_many_threads_as_they_have_cpus(tmp_path):
    threads = [chain_in(tmp_path, engine="ray", ray_cpus=cpus, workers=8).project.threads for cpus in (1.0, 2.5)]
    assert threads == [1, 3]


def test_a_worker_with_another_network_under_the_name_is_refused(tmp_path):
    work = EmbedPictures("thumbnail", "of another release", Folder(tmp_path), 1)
    with pytest.raises(EmbedderError, match=r"'thumbnail' has version .* on a worker and of another release where"):
        work([("content", "image.png")])
