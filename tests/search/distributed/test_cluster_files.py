"""The files of configs/cluster: valid for Ray and KubeRay, each with a search that loads; and what of them stays out of a run."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from setuptools import find_packages

from search import submit
from search.config import loading
from search.spaces.from_config import from_config
from tests.search.commands.test_commands import TINY
from tests.search.conftest import ROOT

CLUSTER = ROOT / "configs" / "cluster"
LAUNCHED = ("search", "aws", "gcp")  # by Ray's cluster launcher

# Fields of ray.io/v1 that the operator knows (KubeRay's API reference); it refuses others.
RAY_JOB = {
    "activeDeadlineSeconds",
    "backoffLimit",
    "rayClusterSpec",
    "submitterPodTemplate",
    "metadata",
    "clusterSelector",
    "submitterConfig",
    "managedBy",
    "deletionStrategy",
    "entrypoint",
    "runtimeEnvYAML",
    "jobId",
    "submissionMode",
    "entrypointResources",
    "entrypointNumCpus",
    "entrypointNumGpus",
    "ttlSecondsAfterFinished",
    "shutdownAfterJobFinishes",
    "suspend",
}
RAY_CLUSTER = {
    "suspend",
    "managedBy",
    "autoscalerOptions",
    "headServiceAnnotations",
    "enableInTreeAutoscaling",
    "gcsFaultToleranceOptions",
    "headGroupSpec",
    "rayVersion",
    "workerGroupSpecs",
}
HEAD_GROUP = {"template", "headService", "enableIngress", "rayStartParams", "serviceType"}
WORKER_GROUP = {
    "suspend",
    "groupName",
    "replicas",
    "minReplicas",
    "maxReplicas",
    "idleTimeoutSeconds",
    "rayStartParams",
    "template",
    "scaleStrategy",
    "numOfHosts",
}


def read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((CLUSTER / f"{name}.yaml").read_text())
    return document


@pytest.mark.parametrize("name", LAUNCHED)
def test_a_cluster_file_is_valid_for_ray_and_carries_a_search(name: str) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    document = read(name)
    assert set(document["metadata"]) == {"search"}
    validate_config(prepare_config(document))  # Ray's own schema, defaults filled in as `ray up` does
    settings = loading.load(CLUSTER / f"{name}.yaml")
    assert from_config(settings).starts()
    assert loading.parse(loading.to_yaml(settings)) == settings
    assert loading.name(CLUSTER / f"{name}.yaml") == document["cluster_name"]


@pytest.mark.parametrize("name", LAUNCHED)
def test_rays_schema_would_have_refused_a_fault(name: str) -> None:
    from jsonschema import ValidationError
    from ray.autoscaler._private.util import prepare_config, validate_config

    for fault in ({"search": {}}, {"max_workers": "many"}):  # a key that Ray does not know, a value of the wrong type
        document = {**read(name), **fault}
        with pytest.raises((ValidationError, TypeError)):
            validate_config(prepare_config(document))


@pytest.mark.parametrize("name", LAUNCHED)
def test_everything_that_is_installed_is_sent_along(name: str) -> None:
    """Each mount exists in the checkout, and every package and file that the build names is under one."""
    document = read(name)
    mounts = document["file_mounts"]
    assert all((ROOT / here).exists() and there == f"~/uninas-ray/{here}" for there, here in mounts.items())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = {package.removesuffix(".*") for package in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    needed |= {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"], "configs"}
    assert set(mounts.values()) == needed


def test_every_package_is_installed() -> None:
    """A folder that the build does not find is missing on the nodes, although nobody misses it in a checkout."""
    include = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    tops = [name for name in include if not name.endswith(".*")]
    folders = {path.parent.relative_to(ROOT) for top in tops for path in (ROOT / top).rglob("*.py")}
    assert sorted(find_packages(str(ROOT), include=include)) == sorted(".".join(folder.parts) for folder in folders)


@pytest.mark.parametrize("name", LAUNCHED)
def test_heads_keep_the_dashboard_to_themselves_and_ask_for_a_token(name: str) -> None:
    document = read(name)
    (start,) = [line for line in document["head_start_ray_commands"] if "ray start" in line]
    assert "--dashboard-host=127.0.0.1" in start
    assert any("RAY_AUTH_MODE=token" in line for line in document["setup_commands"])
    assert document["cluster_synced_files"] == ["~/.ray/auth_token"]


def test_clouds_rent_spot_machines_only_while_there_is_work() -> None:
    for name, spot in (("aws", "spot"), ("gcp", "preemptible")):
        document = read(name)
        worker = document["available_node_types"]["gpu"]
        assert (worker["min_workers"], worker["max_workers"]) == (0, document["max_workers"])
        assert spot in json.dumps(worker["node_config"])
        assert spot not in json.dumps(document["available_node_types"]["head"])
        assert document["idle_timeout_minutes"] <= 10
    assert read("aws")["metadata"] == read("gcp")["metadata"]
    assert read("aws")["provider"]["cache_stopped_nodes"] is False


def test_the_ray_job_is_what_kuberay_knows() -> None:
    documents = list(yaml.safe_load_all((CLUSTER / "rayjob.yaml").read_text()))
    assert [item["kind"] for item in documents] == ["ConfigMap", "PersistentVolumeClaim", "RayJob"]
    search, claim, job = documents
    settings = loading.parse(search["data"]["search.yaml"])
    assert from_config(settings).starts()
    assert job["apiVersion"] == "ray.io/v1"
    spec, cluster = job["spec"], job["spec"]["rayClusterSpec"]
    head, (workers,) = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    for section, known in ((spec, RAY_JOB), (cluster, RAY_CLUSTER), (head, HEAD_GROUP), (workers, WORKER_GROUP)):
        assert set(section) <= known
    for group in (head, workers):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values()), "KubeRay takes text only"
    (container,) = head["template"]["spec"]["containers"]
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in head["template"]["spec"]["volumes"]}
    assert set(mounted) == set(volumes)
    assert volumes["search"]["configMap"]["name"] == search["metadata"]["name"]
    assert volumes["runs"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert f"uninas search {mounted['search']}/search.yaml --out {mounted['runs']}/search" in spec["entrypoint"]
    (worker,) = workers["template"]["spec"]["containers"]
    assert int(worker["resources"]["limits"]["nvidia.com/gpu"]) * workers["replicas"] == settings.pool.workers
    assert worker["image"] == container["image"]
    assert yaml.safe_load(spec["runtimeEnvYAML"]) == {"env_vars": {"OMP_NUM_THREADS": "1"}}


def test_the_ray_jobs_entrypoint_begins_and_then_resumes(tmp_path: Path) -> None:
    """As KubeRay runs it, with a `uninas` that says what it is asked."""
    import shlex

    job = list(yaml.safe_load_all((CLUSTER / "rayjob.yaml").read_text()))[2]
    runs = tmp_path / "runs"
    words = [word.replace("/runs/", f"{runs}/") for word in shlex.split(job["spec"]["entrypoint"])]
    (tmp_path / "uninas").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "uninas").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}

    def said() -> str:
        return subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout.strip()

    assert said() == f"search /etc/uninas/search.yaml --out {runs}/search"
    (runs / "search").mkdir(parents=True)
    (runs / "search" / "config.yaml").touch()
    assert said() == f"search --resume {runs}/search"


def test_the_runtime_environment_is_one_and_leaves_the_heavy_folders() -> None:
    from ray.runtime_env import RuntimeEnv

    document = read("runtime_env")
    RuntimeEnv(**document)
    for folder in (".git", ".venv", "runs", "data"):
        assert f"/{folder}/" in document["excludes"]
    text = (CLUSTER / "runtime_env.yaml").read_text()
    commented = yaml.safe_load(text[text.index("# pip:") :].replace("\n# ", "\n").removeprefix("# "))["pip"]
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert set(commented) <= set(stated)


@pytest.mark.parametrize("path", sorted(CLUSTER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_key_of_a_search_is_explained(path: Path) -> None:
    lines = path.read_text().splitlines()
    start = next((number for number, line in enumerate(lines) if line.strip() in ("search:", "search.yaml: |")), len(lines))
    for line in lines[start + 1 :]:
        if line == "---":
            break
        assert "#" in line or line.endswith(":"), line


def test_submit_runs_the_ordinary_command_on_the_cluster(tmp_path: Path) -> None:
    python = [sys.executable, "-P", "-m", "uninas.cli", "search"]
    file = tmp_path / "cluster.yaml"
    with pytest.raises(FileNotFoundError, match=r"cluster\.yaml: expected the cluster's configuration"):
        submit.command([], file)
    file.touch()
    begun = submit.command(["seed=1", "pool.address=here:1", "--out", "x"], file)
    assert begun == [*python, str(file), "pool.address=auto", "seed=1", "pool.address=here:1", "--out", "x"]
    for words in (["--resume", "x", "evaluations=9"], ["--resume=x"], ["--help"]):
        assert submit.command(words, file) == [*python, *words]


def test_submit_stands_alone_in_a_home_full_of_shadows(tmp_path: Path) -> None:
    """Copied to a home where modules have the names of ours, as `ray submit` does; and without a cluster's file."""
    script = tmp_path / "submit.py"
    script.write_text(Path(submit.__file__).read_text())
    for name in ("search", "uninas", "click"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('shadow')")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(script), *words]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert "KEY=VALUE" in run("--help").stdout
    missing = run()
    assert (missing.returncode, missing.stdout) == (2, "")
    assert missing.stderr.endswith("no such file\n")
    assert missing.stderr.count("\n") == 1
    wrong = tmp_path / "ray_bootstrap_config.yaml"
    wrong.write_text(json.dumps({"cluster_name": "mine", "metadata": {"search": {"space": "vit"}}}))
    refused = run("spce=vit")
    assert refused.returncode == 2
    assert "nearest known key is 'space'" in refused.stderr


@pytest.mark.slow
def test_nothing_of_a_cluster_file_or_the_environment_reaches_the_run(tmp_path: Path) -> None:
    """Secrets: only metadata.search is kept, and no variable."""
    secret, hidden = "AKIA-MARKER-IN-THE-ENVIRONMENT", "MARKER-IN-THE-CLUSTER-FILE"
    document = read("aws")
    document["cluster_name"] = "mine"
    document["provider"]["aws_credentials"] = {"aws_secret_access_key": hidden}
    document["auth"]["ssh_private_key"] = f"~/{hidden}"
    document["setup_commands"].append(f"export TOKEN={hidden}")
    document["metadata"] = {"search": yaml.safe_load(TINY), "note": hidden}
    (tmp_path / "cluster.yaml").write_text(yaml.safe_dump(document))
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "AWS_SECRET_ACCESS_KEY": secret,
        "GOOGLE_APPLICATION_CREDENTIALS": secret,
    }
    done = subprocess.run(
        [sys.executable, "-m", "uninas.cli", "search", "cluster.yaml", "baseline=false"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / "mine-0"
    files = [path for path in run.rglob("*") if path.is_file()]
    assert {"config.yaml", "journal.jsonl", "run.json", "best.json", "report.html"} <= {path.name for path in files}
    for path in files:
        content = path.read_bytes()
        assert secret.encode() not in content, path
        assert hidden.encode() not in content, path
    assert secret not in done.stdout + done.stderr
    assert set(yaml.safe_load((run / "config.yaml").read_text())) == set(loading.load(tmp_path / "cluster.yaml").__dict__)
