"""The committed page of results in a real browser: a phone's, a tablet's and a desk's width."""

import json
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "results" / "report.html"
WIDTHS = (360, 800, 1400)
QUIET = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--enable-logging=stderr", "--virtual-time-budget=20000", "--dump-dom"),
    "--hide-scrollbars",
]
# The page stands in a frame of each width, which takes it for its window.
ASK = """
const seen = [];
addEventListener("load", () => {
  for (const frame of document.querySelectorAll("iframe")) {
    const page = frame.contentDocument, root = page.documentElement;
    const links = [...page.querySelectorAll("a[href^='#']")];
    const ends = links.map(link => link.getAttribute("href").slice(1));
    const nav = page.querySelector("nav").getBoundingClientRect();
    root.scrollTop = 5000;
    seen.push({
      width: root.clientWidth,
      overflow: root.scrollWidth - root.clientWidth,
      ends: ends.length,
      nowhere: ends.filter(id => !page.getElementById(id)),
      ids: [...page.querySelectorAll("[id]")].map(e => e.id),
      nav_after_scrolling: page.querySelector("nav").getBoundingClientRect().top - nav.top,
      scrolled: root.scrollTop,
      pictures: page.querySelectorAll("figure svg").length,
      unnamed: [...page.querySelectorAll("figure svg")].filter(
        e => !e.getAttribute("aria-label") && !e.closest("[aria-label]")).length,
      outside: [...page.querySelectorAll("[src], link[href]")].length,
    });
  }
  document.querySelector("pre").textContent = JSON.stringify(seen);
});
"""


def test_the_page_fits_three_widths_and_leads_where_its_links_say(tmp_path):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    page = escape(PAGE.read_text(encoding="utf-8"))
    frames = "".join(
        f'<iframe style="width:{width}px; height:900px; border:0" srcdoc="{page}"></iframe>'
        for width in WIDTHS
    )
    (tmp_path / "page.html").write_text(
        f'<!doctype html><meta charset="utf-8"><script>{ASK}</script>{frames}<pre></pre>',
        encoding="utf-8",
    )
    done = subprocess.run(
        [
            *(browser, *QUIET, f"--user-data-dir={tmp_path / 'user'}"),
            (tmp_path / "page.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    said = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert said == []
    found = re.search(r"<pre>(.*?)</pre></body>", done.stdout, re.DOTALL)
    assert found is not None, done.stdout[-500:]
    seen = json.loads(unescape(found[1]))
    assert [each["width"] for each in seen] == [*WIDTHS]
    for each in seen:
        assert each["overflow"] == 0, each["width"]
        assert each["ends"] > 20 and each["nowhere"] == []
        assert len(each["ids"]) == len({*each["ids"]})
        assert each["scrolled"] > 4000 and each["nav_after_scrolling"] == 0, "it stays in view"
        assert each["pictures"] > 10 and each["unnamed"] == 0
        assert each["outside"] == 0, "one file, offline"
