"""packaging/kubernetes.yaml: valid for Kubernetes, and true about wsd."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import kubernetes_validate
import pytest
import yaml

from tests.commands import PATIENCE, ROOT, running, wsd
from wsd.config import Config, machine, parse
from wsd.protocols import optionsOf

DOCUMENTS: list[dict[str, Any]] = list(yaml.safe_load_all((ROOT / "packaging/kubernetes.yaml").read_text("utf-8")))


def one(kind: str) -> dict[str, Any]:
    (found,) = (document for document in DOCUMENTS if document["kind"] == kind)
    return found


POD: dict[str, Any] = one("Deployment")["spec"]["template"]["spec"]
CONTAINER: dict[str, Any] = POD["containers"][0]
CONFIG: str = one("ConfigMap")["data"]["wsd.toml"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document["kind"])
@pytest.mark.parametrize("version", ["1.28", "1.32"])
def test_each_object_is_valid(document: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(document, version, strict=True)


def test_a_slip_would_be_found() -> None:
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**one("Service"), "specs": {}}, "1.32", strict=True)


def test_the_objects_name_each_other() -> None:
    labels = one("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert one("Service")["spec"]["selector"] == labels
    assert one("Deployment")["spec"]["selector"]["matchLabels"] == labels
    assert one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert {mount["name"] for mount in CONTAINER["volumeMounts"]} == {volume["name"] for volume in POD["volumes"]}
    (port,) = CONTAINER["ports"]
    assert port["containerPort"] == Config().port
    assert one("Service")["spec"]["ports"][0]["targetPort"] == port["name"]


def test_the_pod_has_the_time_to_drain() -> None:
    config = tomllib.loads(CONFIG)
    (command, seconds) = CONTAINER["lifecycle"]["preStop"]["exec"]["command"]
    closing = Config().policies.closing_timeout
    assert command == "sleep"
    assert POD["terminationGracePeriodSeconds"] > int(seconds) + config["drain"] + closing


def test_the_container_can_write_nothing_but_its_state() -> None:
    assert CONTAINER["securityContext"]["readOnlyRootFilesystem"] is True
    writable = [mount["mountPath"] for mount in CONTAINER["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["/var/lib/wsd"]


UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


def inControlGroup(root: Path, limit: int) -> None:
    """What a container with this limit sees of its control group, on a node with 64 GiB."""
    files = {
        "proc/meminfo": f"MemTotal: {64 << 20} kB\n",
        "proc/self/cgroup": "0::/\n",
        "sys/fs/cgroup/memory.max": f"{limit}\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_the_daemon_takes_half_of_the_limit_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quantity = CONTAINER["resources"]["limits"]["memory"]
    limit = int(quantity[:-2]) * UNITS[quantity[-2:]]
    inControlGroup(tmp_path, limit)
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    machine.halfOfMemory.cache_clear()
    try:
        taken = parse(CONFIG, optionsOf).policies.memory_max
    finally:
        machine.halfOfMemory.cache_clear()
    assert taken == limit // 2
    assert taken > 256 << 20, "there is room for many clients"


PAGE = (ROOT / "docs/containers.md").read_text("utf-8")

SHOWN: list[dict[str, Any]] = [
    yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
]
"""What the page shows for each ingress controller."""


@pytest.mark.parametrize("document", SHOWN, ids=lambda document: document["spec"].get("ingressClassName", "envoy"))
def test_each_ingress_of_the_page_is_valid_and_leads_to_the_service(document: dict[str, Any]) -> None:
    if document["kind"] == "Ingress":
        kubernetes_validate.validate(document, "1.32", strict=True)
        (path,) = document["spec"]["rules"][0]["http"]["paths"]
        assert path["backend"]["service"] == {"name": "wsd", "port": {"name": "http"}}
    else:
        # The schema of the Gateway API is not part of Kubernetes.
        (backend,) = document["spec"]["rules"][0]["backendRefs"]
        assert backend == {"name": "wsd", "port": one("Service")["spec"]["ports"][0]["port"]}


def test_the_page_has_all_four_controllers() -> None:
    assert len(SHOWN) == 4


def environ(folder: Path) -> dict[str, str]:
    """The container's variables, with its files in a folder."""
    (folder / "wsd.toml").write_text(CONFIG.replace('host = ["0.0.0.0", "::"]', "port = 0"))
    secrets = one("Secret")["stringData"]
    for name, value in secrets.items():
        (folder / name).write_text(value)
    places = {"/etc/wsd": folder, "/run/secrets/wsd": folder}
    named = {each["name"]: Path(each["value"]) for each in CONTAINER["env"]}
    return {name: str(places[str(path.parent)] / path.name) for name, path in named.items()}


class TestTheDaemon:
    def test_takes_the_configuration(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in environ(tmp_path).items():
            monkeypatch.setenv(name, value)
        done = wsd(tmp_path, "check", "wsd.toml")
        assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr

    def test_answers_the_probes(self, tmp_path: Path) -> None:
        # Without Redis it is alive, and not ready.
        variables = environ(tmp_path)
        (tmp_path / "redis").write_text("memory")
        paths = [CONTAINER[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")]
        with running(tmp_path, "wsd serve", **variables) as daemon:
            url = daemon.url().replace("ws", "http", 1)
            for path in paths:
                # The kubelet names the pod's address, which no configuration knows.
                with urlopen(Request(url + path, headers={"Host": "10.1.2.3:9998"}), timeout=PATIENCE) as answer:
                    assert answer.status == 200
