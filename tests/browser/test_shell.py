"""The explorer's frame in a real browser: overview, navigation, and what happens as blocks come."""

from dataclasses import replace
from pathlib import Path

from engram.node.config import Config
from engram.node.threaded import running_node
from tests.support.browser import Explorer
from tests.support.cli import Shell
from tests.support.dev_node import dev_spec


def test_the_overview_follows_the_chain(explorer: Explorer, shell: Shell) -> None:
    explorer.open(shows=".figure")
    assert "Connecting" not in explorer.text("#state")
    height = shell.json("chain", "head")["height"]
    shell.text("miner", "mine", "1")
    explorer.until_text(".figure .value", str(height + 1))
    explorer.picture("overview")


def test_a_page_that_is_not_there_is_said(explorer: Explorer) -> None:
    explorer.open("nothing/here")
    assert "no such page" in explorer.text("h1")
    explorer.find("#nav a").click()
    explorer.find(".figure")


def test_text_of_strangers_stays_text(explorer: Explorer) -> None:
    """The one helper that makes elements takes markup for text, and makes no link and no code of it."""
    explorer.open(shows=".figure")
    script = """
        const [done] = [...arguments].slice(-1);
        import("/explore/dom.js").then(({ h, s, clear }) => {
            const evil = "<img src=x onerror=document.title='pwned'>";
            const refused = (make) => { try { make(); return false; } catch { return true; } };
            const node = h("p", { title: evil, class: evil }, evil, [evil, null, 7], s("text", null, evil));
            clear(document.getElementById("main"), node);
            done({
                images: document.querySelectorAll("main img").length,
                text: node.textContent.split("<img").length - 1,
                refused: [
                    () => h("a", { href: "javascript:alert(1)" }),
                    () => h("a", { href: " javascript:alert(1)" }),
                    () => h("a", { href: "//evil.example" }),
                    () => h("img", { src: "http://evil.example/x" }),
                    () => h("p", { onclick: "alert(1)" }),
                    () => h("p", { style: "background: url(//evil.example)" }),
                ].map(refused),
            });
        });
    """
    seen = explorer.driver.execute_async_script(script)
    assert seen == {"images": 0, "text": 3, "refused": [True] * 6}
    assert "pwned" not in explorer.driver.title


def test_the_browser_keeps_to_the_policy(explorer: Explorer) -> None:
    """What the policy forbids does not happen, even if a script of the page itself asks for it."""
    explorer.open(shows=".figure")
    script = """
        const done = [...arguments].at(-1), seen = [];
        document.addEventListener("securitypolicyviolation", (event) => {
            seen.push(event.effectiveDirective);
            if (seen.length === 3) done(seen.sort());
        });
        const code = document.createElement("script");
        code.textContent = "document.title = 'pwned'";
        document.head.append(code);
        new Image().src = "http://192.0.2.1/x";
        fetch("http://192.0.2.1/").catch(() => null);
    """
    forbidden = explorer.driver.execute_async_script(script)
    assert forbidden == ["connect-src", "img-src", "script-src-elem"]
    assert "pwned" not in explorer.driver.title
    explorer.complaints()


def test_the_page_finds_its_node_again(explorer: Explorer, tmp_path: Path) -> None:
    """While the node is away the page says so; it goes on by itself when the node is back."""
    config = Config(data_dir=tmp_path, rpc_port=0, p2p_port=0)
    spec = dev_spec()
    with running_node(config, spec) as node:
        assert node.info is not None
        config = replace(config, rpc_port=node.info.rpc_port)
        pages = Explorer(explorer.driver, node.info.rpc_url)
        pages.open(shows=".figure")
        pages.until_text("#state", "Live")
    pages.until_text("#state", "No connection")
    with running_node(config, spec):
        pages.until_text("#state", "Live")
        pages.find('#nav a[href="#/blocks"]').click()
        pages.until_text("h1", "Blocks")
    assert all("/ws" in each for each in pages.complaints())
