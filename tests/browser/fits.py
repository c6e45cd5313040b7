"""What every page of the daemon has to be: nothing is cut, faint or sticks out, and every control has a name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

from playwright.sync_api import Browser, Page

LANGUAGES = {"en": "en-US", "zh": "zh-CN"}
"""The languages of every page, and the locales of browsers that ask for them."""

_HEIGHTS = {390: 844, 1440: 900}
"""The heights of a telephone's and a desk's screen, by their widths."""

_SETTLED = "new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))"

_PROBLEMS = """() => {
    const found = [];
    const root = document.documentElement;
    if (root.scrollWidth > root.clientWidth) found.push(`the page is ${root.scrollWidth} wide`);
    const isShown = (element) => element.checkVisibility() && !element.closest(".unseen, .skip, template")
        && getComputedStyle(element).opacity !== "0";
    const scrolling = new Map();
    const scrolls = (element) => {
        if (!scrolling.has(element)) {
            scrolling.set(element, /auto|scroll|hidden/.test(getComputedStyle(element).overflowX));
        }
        return scrolling.get(element);
    };
    const isIn = (element, panel) => {
        for (let each = element.parentElement; each !== panel; each = each.parentElement) {
            if (scrolls(each)) return true;
        }
        const inner = element.getBoundingClientRect(), outer = panel.getBoundingClientRect();
        return inner.left >= outer.left - 1 && inner.right <= outer.right + 1;
    };
    for (const panel of document.querySelectorAll(".panel, dialog[open], main, header")) {
        for (const each of panel.querySelectorAll("*")) {
            if (isShown(each) && !isIn(each, panel)) found.push(`${each.outerHTML.slice(0, 90)} sticks out`);
        }
    }
    const controls = "button, a[href], input, select, textarea, canvas:not([aria-hidden=true]), [tabindex]";
    for (const each of document.querySelectorAll(controls)) {
        const label = [...each.labels ?? []].map((label) => label.innerText).join("");
        const labelled = document.getElementById(each.getAttribute("aria-labelledby"))?.textContent;
        const name = each.getAttribute("aria-label") ?? labelled ?? (label || each.textContent);
        if (each.checkVisibility() && !name.trim()) found.push(`${each.outerHTML.slice(0, 90)} has no name`);
        if (isShown(each) && each.matches("button, .segments label") && each.scrollWidth > each.clientWidth + 1) {
            found.push(`${each.outerHTML.slice(0, 90)} is cut`);
        }
    }
    return found;
}"""

_CONTRASTS = """() => {
    const luminance = ([r, g, b]) => {
        const [R, G, B] = [r, g, b].map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * R + 0.7152 * G + 0.0722 * B;
    };
    const rgb = colour => colour.match(/[\\d.]+/g).map(Number);
    const behind = element => {
        if (!element) return [255, 255, 255];
        const [r, g, b, alpha = 1] = rgb(getComputedStyle(element).backgroundColor);
        if (alpha === 1) return [r, g, b];
        const ground = behind(element.parentElement);
        return [r, g, b].map((value, at) => value * alpha + ground[at] * (1 - alpha));
    };
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        const text = walker.currentNode.data.trim();
        if (!text || !element.checkVisibility() || element.closest("noscript, option")) continue;
        const pair = [rgb(getComputedStyle(element).color), behind(element)].map(luminance);
        found.push([(Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05), text]);
    }
    return found;
}"""
"""The contrast of each text on the page against what lies behind it, by WCAG 2.2 1.4.3: [ratio, text]."""

_CONTRAST = 4.5
"""The least contrast of level AA."""

_ENGLISH = """() => {
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const other = "[lang=en], code, pre, kbd, .name, .typed, .data, script, noscript, template, .brand";
    for (let node; (node = walker.nextNode());) {
        const element = node.parentElement;
        if (element.closest(other)) continue;
        if (element.checkVisibility() && /[a-z]{2,} [a-z]{2,}/.test(node.data)) found.push(node.data.trim());
    }
    return found;
}"""


def problems(page: Page) -> list[str]:
    """What is wrong with how the page looks now."""
    found: list[str] = page.evaluate(_PROBLEMS)
    return found


def faint(page: Page) -> list[str]:
    """The texts on the page that stand out too little from what lies behind them, with their contrasts."""
    return [f"{ratio:.2f} {text}" for ratio, text in page.evaluate(_CONTRASTS) if ratio < _CONTRAST]


def english(page: Page) -> list[str]:
    """The English sentences on a page that should be in Chinese."""
    found: list[str] = page.evaluate(_ENGLISH)
    return found


@contextmanager
def opened(browser: Browser, language: str, url: str, script: str = "") -> Iterator[Page]:
    """A page in one of its languages, with a script that runs before its own."""
    context = browser.new_context(locale=LANGUAGES[language])
    context.set_default_timeout(30_000)
    page = context.new_page()
    page.add_init_script(script)
    page.goto(url)
    yield page
    context.close()


def looks(page: Page) -> Iterator[str]:
    """Show a page in every width and every kind of colours, one after the other. Returns the name of each look."""
    for width, colours in product(_HEIGHTS, ("light", "dark", "forced")):
        page.set_viewport_size({"width": width, "height": _HEIGHTS[width]})
        isForced = colours == "forced"
        page.emulate_media(
            color_scheme="dark" if colours == "dark" else "light", forced_colors="active" if isForced else "none"
        )
        page.evaluate(_SETTLED)
        yield f"{width} {colours}"


def checkLegible(page: Page) -> None:
    """Nothing is cut, faint, sticks out or lacks its name in any look."""
    for look in looks(page):
        found = problems(page) + faint(page)
        assert found == [], f"{look}: {found}"


def checkFits(page: Page) -> None:
    """The page looks right in any look, and a Chinese one is Chinese throughout."""
    checkLegible(page)
    if page.evaluate("document.documentElement.lang") == "zh-CN":
        found = english(page)
        assert found == [], found
