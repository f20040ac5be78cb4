"""What `deploy/` holds can be read, and names settings, commands, metrics and files that there are."""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from engram.cli import main
from engram.commands.support.exitcodes import EXIT_STATUSES, LATER
from engram.commands.support.failures import exit_status
from engram.node.configsources import load_config
from engram.node.errors import ConfigInvalid, DataDirLocked, DiskFull, ForeignData, PortTaken, SchemaMismatch
from engram.node.metrics import Gauges, Metrics, render
from engram.node.rpc.warnings import CODES, OLD_BLOCKS
from engram.primitives.errors import ChainError
from tests.support.source_tree import ROOT

DEPLOY = ROOT / "deploy"
YAML = sorted([*DEPLOY.rglob("*.yaml"), *DEPLOY.rglob("*.yml")])
P2P, RPC = 8646, 8645
INSTRUCTIONS = set(
    "FROM WORKDIR COPY RUN USER VOLUME ENV EXPOSE STOPSIGNAL HEALTHCHECK ENTRYPOINT CMD".split()  # noqa: SIM905
)


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document is not None]


def manifests() -> list[dict[str, Any]]:
    """Every object that the kustomization lists."""
    (listed,) = documents(DEPLOY / "kubernetes/kustomization.yaml")
    return [each for name in listed["resources"] for each in documents(DEPLOY / "kubernetes" / name)]


def one(kind: str, name: str = "engram") -> dict[str, Any]:
    (found,) = [each for each in manifests() if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = one("StatefulSet")["spec"]["template"]["spec"]
    return spec


def check_settings(environment: dict[str, str]) -> None:
    """Every ENGRAM_* variable is a setting, and the node takes its value."""
    wanted = {name: value for name, value in environment.items() if name.startswith("ENGRAM_")}
    loaded = load_config({}, wanted)
    taken = {f"ENGRAM_{name.upper()}" for name, origin in loaded.origins.items() if origin == "environment"}
    assert taken == wanted.keys()


def check_command(words: list[str]) -> None:
    """The words after `engram` are a command line of a command that there is."""
    name, command, rest = main.resolve_command(
        main.make_context("engram", [*words], resilient_parsing=True), words
    )
    assert name is not None
    assert command is not None
    command.make_context(name, rest).close()


@pytest.mark.parametrize("path", YAML, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_every_file_is_yaml(path: Path) -> None:
    assert documents(path)


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, continued lines joined."""
    text = re.sub(r"\\\n\s*", " ", (DEPLOY / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in lines]


def test_the_image_runs_a_node_as_nobody_in_particular() -> None:
    found = instructions()
    last = {name: argument for name, argument in found}
    assert {name for name, _ in found} == INSTRUCTIONS
    assert int(last["USER"].partition(":")[0]) == pod()["securityContext"]["runAsUser"] > 0
    assert json.loads(last["ENTRYPOINT"]) == ["engram"]
    check_command(json.loads(last["CMD"]))
    check_settings(dict(word.split("=", 1) for word in shlex.split(last["ENV"])))
    assert last["EXPOSE"].split() == [str(P2P), str(RPC)]
    assert "--require-hashes" in dict(found[:5])["RUN"]
    for sources in (argument.split() for name, argument in found if name == "COPY"):
        if not sources[0].startswith("--from"):
            assert all((ROOT / source).exists() for source in sources[:-1])


def test_the_composed_node_is_reached_by_peers_and_by_nobody_else() -> None:
    (compose,) = documents(DEPLOY / "compose.yaml")
    node, init = compose["services"]["node"], compose["services"]["init"]
    check_command(init["command"])
    check_command(node["command"])
    given = {"ENGRAM_PEERS": "host1:8646,host2:8646", "ENGRAM_MINE": "true", "ENGRAM_MINER_ADDRESS": "alice"}
    assert {name for name, value in node["environment"].items() if value is None} == given.keys()
    check_settings({name: value or given[name] for name, value in node["environment"].items()})
    assert (ROOT / "deploy" / init["build"]["context"] / init["build"]["dockerfile"]).is_file()
    open_ports = [port for each in compose["services"].values() for port in each.get("ports", ())]
    to_the_world = [port for port in open_ports if not str(port).startswith("127.0.0.1:")]
    assert to_the_world == [f"{P2P}:{P2P}"]
    for service in compose["services"].values():
        for source in (volume.partition(":")[0] for volume in service.get("volumes", ())):
            assert source in compose["volumes"] or (DEPLOY / source).exists()


def test_the_composed_node_can_be_of_another_chain() -> None:
    (compose,), (own,) = documents(DEPLOY / "compose.yaml"), documents(DEPLOY / "compose.own-chain.yaml")
    assert own.keys() == {"services"}
    assert own["services"].keys() == {"init"} <= compose["services"].keys()
    init = own["services"]["init"]
    place = init["volumes"][0].rpartition("}:")[2].removesuffix(":ro")
    assert init["command"] == ["init", "--spec", place]
    (variable,) = re.findall(r"\$\{(\w+):\?", init["volumes"][0])
    page = (ROOT / "docs/operate.md").read_text()
    assert f"{variable}=$PWD/chain.json" in page


def test_prometheus_asks_the_composed_node_by_a_name_that_it_answers() -> None:
    (settings,) = documents(DEPLOY / "prometheus/prometheus.yml")
    (compose,) = documents(DEPLOY / "compose.yaml")
    targets = [
        t for job in settings["scrape_configs"] for each in job["static_configs"] for t in each["targets"]
    ]
    names = compose["services"]["node"]["environment"]["ENGRAM_RPC_NAMES"].split(",")
    assert [target.partition(":") for target in targets] == [(name, ":", str(RPC)) for name in names]
    assert set(names) <= compose["services"].keys()
    assert all((DEPLOY / "prometheus" / file).is_file() for file in settings["rule_files"])


def test_the_pods_settings_and_commands() -> None:
    (container,), (init,) = pod()["containers"], pod()["initContainers"]
    check_command(container["args"])
    check_command(init["args"])
    plain = {each["name"]: each["value"] for each in container["env"] if "value" in each}
    known = {"POD_NAME": "engram-0", "POD_IP": "10.0.0.7"}
    assert {each["name"] for each in container["env"]} == plain.keys() | known.keys()
    check_settings({name: re.sub(r"\$\((\w+)\)", lambda m: known[m[1]], v) for name, v in plain.items()})
    service, replicas = one("Service")["metadata"]["name"], one("StatefulSet")["spec"]["replicas"]
    assert one("StatefulSet")["spec"]["serviceName"] == service
    assert plain["ENGRAM_PEERS"].split(",") == [f"engram-{n}.{service}:{P2P}" for n in range(replicas)]
    assert {probe["httpGet"]["path"] for name, probe in container.items() if name.endswith("Probe")} == {
        "/health",
        "/ready",
    }
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"


def test_what_the_pods_may_do() -> None:
    assert pod()["securityContext"]["runAsNonRoot"] is True
    for container in (*pod()["containers"], *pod()["initContainers"]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_objects_find_each_other_by_their_labels() -> None:
    labels = one("StatefulSet")["spec"]["template"]["metadata"]["labels"]
    for kind, name in (("Service", "engram"), ("Service", "engram-rpc")):
        assert one(kind, name)["spec"]["selector"] == labels
    assert one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == labels
    (mount, _) = pod()["containers"][0]["volumeMounts"]
    (claim,) = one("StatefulSet")["spec"]["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == mount["name"]
    assert (
        mount["mountPath"]
        == dict(word.split("=", 1) for word in shlex.split(dict(instructions())["ENV"]))["ENGRAM_DATA_DIR"]
    )


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kubectl_builds_the_kustomization() -> None:
    built = subprocess.run(
        ["kubectl", "kustomize", str(DEPLOY / "kubernetes")], capture_output=True, text=True, check=True
    ).stdout
    objects = [each for each in yaml.safe_load_all(built) if each]
    assert sorted(each["kind"] for each in objects) == sorted(each["kind"] for each in manifests())
    assert {each["metadata"].get("namespace", "engram") for each in objects} == {"engram"}


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kubectl_builds_the_kustomization_of_another_chain(tmp_path: Path) -> None:
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    folder = tmp_path / "deploy/kubernetes-own-chain"
    (folder / "chain.json").write_text("{}")
    built = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=True)
    objects = {each["kind"]: each for each in yaml.safe_load_all(built.stdout) if each}
    chain = objects["ConfigMap"]
    assert chain["data"] == {"chain.json": "{}"}
    spec = objects["StatefulSet"]["spec"]["template"]["spec"]
    (init,) = spec["initContainers"]
    (mount,) = [each for each in init["volumeMounts"] if each["name"] == "chain"]
    assert init["args"] == ["init", "--spec", f"{mount['mountPath']}/chain.json"]
    check_command([*init["args"][:2], str(folder / "chain.json")])
    (volume,) = [each for each in spec["volumes"] if each["name"] == "chain"]
    assert volume["configMap"]["name"] == chain["metadata"]["name"]
    assert spec["containers"] == pod()["containers"], "nothing else differs"


def names_of_metrics() -> set[str]:
    """Every name that the metrics page of a node can hold."""
    gauges = Gauges(
        lookups={"scores": (1, 1)},
        rounds={"commit": 1},
        build={"version": "1"},
        bans={"node": 1},
        traffic={("sent", "GetBlock"): 1},
        warnings={"alone": True},
    )
    page = render(Metrics(), gauges)[0].decode()
    return set(re.findall(r"^(engram_\w+)", page, flags=re.MULTILINE))


def expressions() -> Iterator[str]:
    (alerts,) = documents(DEPLOY / "prometheus/alerts.yml")
    for group in alerts["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    dashboard = json.loads((DEPLOY / "grafana/dashboard.json").read_text())
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    variables = dashboard["templating"]["list"]
    yield from (each["query"]["query"] for each in variables if each["type"] == "query")


def test_alerts_and_panels_ask_for_metrics_that_there_are() -> None:
    asked = {name for each in expressions() for name in re.findall(r"\bengram_\w+", each)}
    assert len(asked) > 20
    assert asked - names_of_metrics() == set()


def test_alerts_ask_for_warnings_that_there_are() -> None:
    asked = re.findall(r'engram_warnings\{code=~?"([\w|]+)"', "\n".join(expressions()))
    assert {code for each in asked for code in each.split("|")} <= {*CODES}
    assert len(asked) >= 5


def test_alerts_know_no_bound_that_is_one_chains() -> None:
    """A head is old after twelve blocks' time, which is an hour on one chain and six seconds on another."""
    (bound,) = [each for each in expressions() if "head_age_seconds >" in each]
    assert bound == f"engram_head_age_seconds > {OLD_BLOCKS} * engram_target_block_seconds"


def test_the_operators_page_explains_every_warning() -> None:
    page = (ROOT / "docs/operate.md").read_text().partition("## What to watch")[2]
    assert sorted(re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE)) == sorted(CODES)


def test_alerts_say_what_to_do() -> None:
    (alerts,) = documents(DEPLOY / "prometheus/alerts.yml")
    rules = [rule for group in alerts["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert ":" in rule["annotations"]["summary"] or "," in rule["annotations"]["summary"]


def test_the_dashboard_takes_any_prometheus_that_a_grafana_has() -> None:
    """A source of a fixed name is there only where we have set Grafana up."""
    dashboard = json.loads((DEPLOY / "grafana/dashboard.json").read_text())
    source, *others = dashboard["templating"]["list"]
    assert (source["type"], source["query"]) == ("datasource", "prometheus")
    chosen = {"type": "prometheus", "uid": f"${{{source['name']}}}"}
    assert [each["datasource"] for each in (*others, *dashboard["panels"])] == [chosen] * (
        len(others) + len(dashboard["panels"])
    )


def test_the_dashboard_shows_the_chosen_jobs_and_nodes() -> None:
    dashboard = json.loads((DEPLOY / "grafana/dashboard.json").read_text())
    assert [each["name"] for each in dashboard["templating"]["list"]] == ["datasource", "job", "instance"]
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            asked = re.findall(r"\bengram_\w+(\{[^}]*\})?", target["expr"])
            assert all('{job=~"$job",instance=~"$instance"' in each for each in asked)


def test_the_panels_lie_beside_each_other() -> None:
    panels = json.loads((DEPLOY / "grafana/dashboard.json").read_text())["panels"]
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len({panel["id"] for panel in panels}) == len(panels)
    assert {panel["gridPos"]["w"] for panel in panels} == {8}


def unit() -> dict[str, str]:
    """The last value of each key of the unit file."""
    lines = (DEPLOY / "systemd/engram.service").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def test_the_unit_runs_a_node_that_tells_how_it_stands() -> None:
    settings = unit()
    check_command(shlex.split(settings["ExecStart"])[1:])
    assert settings["Type"] == "notify"
    environment = dict(word.split("=", 1) for word in shlex.split(settings["Environment"]))
    check_settings(environment)
    assert environment["ENGRAM_DATA_DIR"] == f"/var/lib/{settings['StateDirectory']}"


def test_the_unit_starts_no_node_again_that_only_a_person_can_mend() -> None:
    never = [each.number for each in EXIT_STATUSES if each.again is False]
    assert [int(word) for word in unit()["RestartPreventExitStatus"].split()] == never
    assert unit()["Restart"] == "on-failure", "after every other status it does"
    comment = (DEPLOY / "systemd/engram.service").read_text().partition("RestartPreventExitStatus")[0]
    assert [int(number) for number in re.findall(r"\b\d\d\b", comment.rpartition("RestartSec=5")[2])] == [
        *never,
        LATER,
    ]


@pytest.mark.parametrize(
    "error", [PortTaken, DataDirLocked, ForeignData, SchemaMismatch, DiskFull, ConfigInvalid]
)
def test_the_unit_starts_again_after_what_passes_by_itself_alone(error: type[ChainError]) -> None:
    """A port or a directory that another process holds becomes free; foreign data stay foreign."""
    never = unit()["RestartPreventExitStatus"].split()
    passes = error in (PortTaken, DataDirLocked, DiskFull)
    assert (str(exit_status(error())) not in never) is passes


def test_the_operators_page_has_the_table_of_exit_statuses() -> None:
    page = (ROOT / "docs/operate.md").read_text()
    rows = re.findall(r"^\| (\d+) \| (.+) \| (yes|no|-) \|$", page, flags=re.MULTILINE)
    said = {None: "-", True: "yes", False: "no"}
    assert rows == [(str(each.number), each.meaning, said[each.again]) for each in EXIT_STATUSES]
    (named,) = re.findall(r"After status ([\d, or]+) it does not", page)
    assert re.findall(r"\d+", named) == unit()["RestartPreventExitStatus"].split()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_unit_and_finds_it_hardened(tmp_path: Path) -> None:
    path = tmp_path / "engram.service"
    text = (DEPLOY / "systemd/engram.service").read_text()
    program = shutil.which("true")
    assert program is not None
    path.write_text(text.replace(shlex.split(unit()["ExecStart"])[0], program))

    def analyze(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["systemd-analyze", *words, str(path)], capture_output=True, text=True)

    verified = analyze("verify")
    assert (verified.returncode, verified.stderr) == (0, "")
    hardened = analyze("security", "--offline=true", "--threshold=20")
    assert hardened.returncode == 0, hardened.stdout
