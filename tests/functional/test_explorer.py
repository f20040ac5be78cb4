"""`engram explore` and the pages of a real node."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

from engram.commands.explore import page_of
from engram.node.config import Config
from engram.node.explorer.serving import STATIC
from engram.node.rpc.session import session_methods
from engram.node.threaded import running_node
from tests.support.cli import Shell
from tests.support.dev_node import dev_spec, served_shell

NO_DISPLAY = dict.fromkeys(("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with served_shell(tmp_path_factory.mktemp("node")) as made:
        yield made


def test_the_address_leads_to_the_page(shell: Shell) -> None:
    shown = shell.json("explore", "--no-open")
    assert shown["opened"] is False
    assert shell.text("explore", "--no-open") == shown["url"] + "\n"
    with urlopen(shown["url"]) as response:
        assert response.read() == (STATIC / "index.html").read_bytes()
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]


def test_without_a_display_it_is_said_where_to_open_it(shell: Shell) -> None:
    done = shell.run("explore", **NO_DISPLAY)
    url = shell.json("explore", "--no-open")["url"]
    port = urlsplit(url).port
    assert done.exit_code == 0
    assert done.stdout.splitlines()[0] == url
    assert f"ssh -L {port}:127.0.0.1:{port} HOST" in done.stdout


def test_the_browser_gets_the_address(shell: Shell, tmp_path: Path) -> None:
    """A browser of the user's choice, which is a program that gets the address."""
    seen, browser = tmp_path / "seen", tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" >{seen}\n')
    browser.chmod(0o700)
    environment = {**os.environ, "ENGRAM_DATA_DIR": str(shell.data_dir), "BROWSER": str(browser)}
    command = [sys.executable, "-c", "from engram.cli import main; main()", "explore", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    shown = json.loads(done.stdout)
    assert shown["opened"] is True
    assert seen.read_text().strip() == shown["url"]


@pytest.mark.parametrize(
    ("rpc", "page"),
    [
        ("http://127.0.0.1:8645", "http://127.0.0.1:8645/explore/"),
        ("http://0.0.0.0:8645", "http://127.0.0.1:8645/explore/"),
        ("http://[::]:8645", "http://[::1]:8645/explore/"),
        ("http://[::1]:8645/", "http://[::1]:8645/explore/"),
        ("https://node.example", "https://node.example/explore/"),
    ],
)
def test_a_browser_gets_an_address_that_it_can_reach(rpc: str, page: str) -> None:
    assert page_of(rpc) == page


def test_no_node_no_page(tmp_path: Path) -> None:
    assert Shell(tmp_path, {}).error("explore", "--rpc", "http://127.0.0.1:9") == (69, "node_unreachable")


def test_the_setting_switches_the_pages_off(tmp_path: Path) -> None:
    config = Config(data_dir=tmp_path, rpc_port=0, p2p_port=0, rpc_explorer=False)
    with running_node(config, dev_spec()):
        shell = Shell(tmp_path, {})
        assert shell.error("explore", "--no-open") == (65, "explorer_off")
        assert shell.json("node", "info")["explorer"] is False


def test_the_pages_name_no_file_and_no_method_that_is_not_there(shell: Shell) -> None:
    listed = [*shell.json("rpc", "rpc_methods"), *(each.to_json() for each in session_methods())]
    methods = {each["name"]: each for each in listed}
    calls = 0
    for path in STATIC.rglob("*.js"):
        text = path.read_text()
        for name in re.findall(r'from "([^"]+)"', text):
            assert (path.parent / name).is_file(), f"{path.name} imports {name}"
        for name in re.findall(r'\.call\(\s*"(\w+)"', text):
            assert name in methods, f"{path.name} calls {name}"
            assert not methods[name]["admin"], f"{path.name} calls {name}"
            calls += 1
    for name in re.findall(r'view: "(\w+)"', (STATIC / "routes.js").read_text()):
        assert (STATIC / "views" / f"{name}.js").is_file(), f"routes.js names {name}"
    assert calls > 0


def test_a_browser_that_has_the_page_fetches_it_no_second_time(shell: Shell) -> None:
    url = shell.json("explore", "--no-open")["url"] + "app.js"
    with urlopen(Request(url, method="HEAD")) as response:
        tag = response.headers["ETag"]
        assert response.read() == b""
    with pytest.raises(OSError, match="304"):
        urlopen(Request(url, headers={"If-None-Match": tag}))
