"""Take the README's pictures of a demo that is being served: a desktop's page and a phone's.

cinderella demo &
python -m tests.benchmarks.picture_demo --url http://127.0.0.1:7860 --out docs
"""

import argparse
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import expect, sync_playwright

WINDOWS = {"demo": (1240, 900), "demo-phone": (390, 844)}
"""Width and height (px) by the name of the picture, which shows the page to its end."""

PATIENCE = 120_000
"""ms"""


def main() -> None:
    """Write one PNG for each window."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:7860")
    parser.add_argument("--out", type=Path, default=Path("docs"))
    arguments = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, (width, height) in WINDOWS.items():
            page = browser.new_page(viewport={"width": width, "height": height})
            page.set_default_timeout(PATIENCE)
            page.goto(arguments.url)
            shot = try_on(page)
            # a palette would change the garments' colours
            Image.open(io.BytesIO(shot)).convert("RGB").save(arguments.out / f"{name}.png", optimize=True)
            page.close()
        browser.close()


def try_on(page: Any) -> bytes:
    """Ask for a wide garment with its outline, and for all sizes; return the page as PNG."""
    number = page.locator("#size-width input[type=number]")
    page.get_by_label("Expected outline").check()
    after(page, page.locator("#people button").nth(1).click)
    after(page, page.locator("#garments button").nth(2).click)
    page.locator("#all-sizes").click()
    expect(page.locator("#strip img")).to_have_count(7, timeout=PATIENCE)
    number.fill("1.8")
    after(page, number.blur)
    page.evaluate(
        "document.querySelectorAll('.grid-wrap').forEach(part => part.scrollTo(0, 0)), scrollTo(0, 0)"
    )
    page.wait_for_timeout(1500)
    return bytes(page.screenshot(full_page=True))


def after(page: Any, act: Callable[[], None]) -> None:
    """Act, and wait for the picture that comes of it."""
    picture = page.locator("#picture img")
    before = picture.get_attribute("src")
    act()
    expect(picture).not_to_have_attribute("src", str(before), timeout=PATIENCE)


if __name__ == "__main__":
    main()
