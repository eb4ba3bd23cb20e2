"""A page in Chromium, for tests of what can be done with it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


class Opened:
    """A page in the browser, and what went wrong in it."""

    def __init__(self, page: Page, path: Path) -> None:
        self.page = page
        self.problems: list[str] = []
        page.on("console", lambda message: self.problems.append(message.text))
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", lambda request: self.problems.append(request.url) if request.url != path.as_uri() else None)
        page.on("dialog", lambda dialog: self.problems.append(dialog.message))
        page.goto(path.as_uri())
        for number in range(int(page.evaluate("gptkitCharts.charts.length"))):  # charts are drawn when they are seen
            page.evaluate(f"gptkitCharts.charts[{number}].host.scrollIntoView()")
            # a promise, because `wait_for_function` polls with eval, which the page's content security policy forbids
            drawn = f"const drawn = () => gptkitCharts.charts[{number}].plot ? done() : requestAnimationFrame(drawn); drawn()"
            page.evaluate(f"new Promise(done => {{ {drawn} }})")
        page.evaluate("scrollTo(0, 0)")

    def chart(self, title: str) -> Any:
        return self.page.locator("figure.chart", has=self.page.get_by_text(title, exact=True)).first

    def range_x(self, number: int = 0) -> list[float]:
        scale: list[float] = self.page.evaluate(f"(s => [s.min, s.max])(gptkitCharts.charts[{number}].plot.scales.x)")
        return scale

    def assert_no_fault(self) -> None:
        """Assert that nothing fails, is loaded or scrolls sideways, and that axe finds no serious fault."""
        from axe_playwright_python.sync_playwright import Axe

        assert self.problems == []
        assert self.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        results = Axe().run(self.page).response
        assert [fault for fault in results["violations"] if fault["impact"] in ("serious", "critical")] == []
