"""Pages in a real browser: what Chromium lays out, measured by a script in a page that frames a copy of them."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM = next((found for name in NAMES if (found := shutil.which(name))), None)
"""The browser's program; None where there is none."""

# A frame has the width that is asked for, which windows without a screen have only above some 500 pixels, and its media
# queries go by it. As `srcdoc` it has the origin of the page around it, whose script may look inside.
_FRAME = """<!doctype html><meta charset="utf-8"><title>measuring</title>
<iframe id="frame" style="border: 0; width: {width}px; height: 2000px" srcdoc="{page}"></iframe>
<pre id="measured"></pre>
<script>
addEventListener("load", async () => {{
  const frame = document.getElementById("frame"), d = frame.contentDocument, w = frame.contentWindow;
  await Promise.all([...d.images].map(image => image.decode().catch(() => null)));
  const shown = e => {{ const r = e.getBoundingClientRect(); return r.width > 0 && r.height > 0 &&
    w.getComputedStyle(e).visibility === "visible"; }};
  const channels = colour => (colour.match(/[\\d.]+/g) || []).map(Number);
  const luminance = c => c.slice(0, 3).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const behind = e => {{ for (; e; e = e.parentElement) {{
    const c = channels(w.getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; }}
    return [255, 255, 255]; }};
  const texts = [...d.body.querySelectorAll("*")].filter(e => shown(e) &&
    [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()));
  const contrast = e => {{ const [a, b] = [luminance(channels(w.getComputedStyle(e).color)), luminance(behind(e))];
    return (Math.max(a, b) + .05) / (Math.min(a, b) + .05); }};
  const resources = [...d.querySelectorAll("[src], [srcset], link[href], object, embed, use")].map(
    e => (e.getAttribute("src") || e.getAttribute("href") || e.getAttribute("srcset") || e.tagName).slice(0, 20));
  const result = {{
    width: w.innerWidth, dark: w.matchMedia("(prefers-color-scheme: dark)").matches,
    language: d.documentElement.lang, title: d.title,
    overflow: d.documentElement.scrollWidth - d.documentElement.clientWidth,
    outside: [...d.body.querySelectorAll("*")].filter(e => !e.closest(".scroll") && shown(e) &&
      e.getBoundingClientRect().right > w.innerWidth + 1).map(e => e.outerHTML.slice(0, 80)),
    images: [...d.images].map(i => ({{alt: i.alt, natural: i.naturalWidth, shown: i.getBoundingClientRect().width,
      begins: i.getAttribute("src").slice(0, 15)}})),
    headings: [...d.querySelectorAll("h1, h2, h3, h4")].map(h => [Number(h.tagName[1]), h.textContent.trim(), shown(h)]),
    tables: [...d.querySelectorAll("table")].map(t => ({{rows: [...t.tBodies].reduce((n, b) => n + b.rows.length, 0),
      hidden: [...t.rows].filter(r => !shown(r)).length, wide: t.scrollWidth > t.parentElement.clientWidth + 1,
      focusable: t.parentElement.tabIndex === 0 && t.parentElement.hasAttribute("aria-label")}})),
    unscoped: d.querySelectorAll("th:not([scope])").length,
    faint: texts.filter(e => contrast(e) < 4.5).map(e => [contrast(e), e.outerHTML.slice(0, 80)]),
    tiny: texts.filter(e => parseFloat(w.getComputedStyle(e).fontSize) < 11.5).map(e => e.outerHTML.slice(0, 80)),
    resources, fetched: w.performance.getEntriesByType("resource").map(e => e.name),
    links: [...d.querySelectorAll("a[href]")].map(a => a.getAttribute("href")),
    ids: [...d.querySelectorAll("[id]")].map(e => e.id), scripts: d.scripts.length,
  }};
  document.getElementById("measured").textContent = JSON.stringify(result);
}});
</script>
"""


def measure(page: Path, folder: Path, width: int, *options: str) -> dict[str, Any]:
    """What a page is like in a window of a width in pixels.

    Args:
        page: an HTML file.
        folder: where to write the page that frames it, and the browser's profile.
        options: further options of the browser.
    """
    around = folder / f"measuring-{width}.html"
    around.write_text(_FRAME.format(width=width, page=html.escape(page.read_text())))
    found = run(folder, "--window-size=1600,2200", *options, "--dump-dom", around.as_uri())
    text = re.search(r'<pre id="measured">(.*?)</pre>', found, re.S)
    assert text is not None, f"the page did not load: {found[:500]}"
    assert text[1], "the script did not come to its end"
    measured: dict[str, Any] = json.loads(html.unescape(text[1]))
    return measured


def run(folder: Path, *options: str) -> str:
    """What the browser prints; no name has an address for it."""
    assert CHROMIUM is not None
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
    command += [f"--user-data-dir={folder / 'profile'}", "--host-resolver-rules=MAP * ~NOTFOUND"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
