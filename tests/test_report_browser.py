"""Reports as a reader sees them: in a real browser, at the width of a desk and of a phone, in the light and in the dark."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from matplotlib import image

import analysis_data
import browser
from hypercurve.analysis import figures, report, tables
from hypercurve.config.figures import applicable
from results_data import SMALL, call, make_results

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser.CHROMIUM is None, reason="there is no chromium; `make test-browser` installs it"),
]

WIDTHS = {"desk": 1280, "phone": 390}
DARK = "--blink-settings=preferredColorScheme=0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def small(folder: Path) -> Path:
    """The report of a search, an early stopping one and a population, by the commands of the workflow."""
    return make_results(folder, SMALL, figures=True) / "report.html"


@pytest.fixture(scope="module")
def failing(folder: Path) -> Path:
    """The report of runs with failures, with names and words as long as users may make them."""
    long = "an-uncommonly-long-name-of-a-method-that-somebody-has-chosen"
    chosen = analysis_data.experiment(
        description="What comes of " + 60 * "unbroken" + " words, and of <b>markup</b> & signs?",
        repeats=2,
        budget={"trials": 30},
        methods={"random": {"search": "random"}, long: {"search": "random", "stop": {"lcm": {"split": 0.2}}}},
    )
    results = folder / "failing"
    runs = analysis_data.run_all(chosen, results, failing=0.5)
    tables.write(tables.comparison(chosen, runs), results / "comparison.csv")
    for name in applicable(chosen):
        svg = results / "figures" / f"{name}.svg"
        figures.save(figures.draw(name, chosen, runs), svg, svg.with_suffix(".png"))
    report.write(chosen, "failing", runs, results, results / "report.html")
    return results / "report.html"


@pytest.fixture(scope="module", params=[*WIDTHS, "dark"])
def seen(request: pytest.FixtureRequest, small: Path, folder: Path) -> dict[str, Any]:
    dark = request.param == "dark"
    found = browser.measure(small, folder, 1280 if dark else WIDTHS[request.param], *([DARK] if dark else []))
    assert found["dark"] == dark
    assert found["width"] == (1280 if dark else WIDTHS[request.param])
    return found


def test_nothing_is_wider_than_the_window(seen: dict[str, Any]) -> None:
    assert seen["overflow"] <= 0
    assert seen["outside"] == []


def test_all_figures_are_decoded_and_say_what_they_show(seen: dict[str, Any], small: Path) -> None:
    drawn = sorted(path.stem for path in (small.parent / "figures").glob("*.svg"))
    assert len(seen["images"]) == len(drawn) >= 5
    for found in seen["images"]:
        assert found["natural"] > 100, found
        assert 300 <= found["shown"] <= seen["width"], found
        assert len(found["alt"]) > 40, found


def test_parts_are_there_and_in_order(seen: dict[str, Any]) -> None:
    parts = [text for level, text, shown in seen["headings"] if level == 2 and shown]
    assert parts == [
        "Setting",
        "Comparison of methods",
        "Traits of the methods",
        "Figures",
        "Methods",
        "Chosen configurations",
        "Failed trials",
        "What made it",
    ]
    levels = [level for level, _, _ in seen["headings"]]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels)), "no level is skipped"
    assert all(shown for _, _, shown in seen["headings"])


def test_rows_of_all_tables_are_seen(seen: dict[str, Any]) -> None:
    assert len(seen["tables"]) >= 5
    for table in seen["tables"]:
        assert table["rows"] > 0
        assert table["hidden"] == 0
        assert not table["wide"] or table["focusable"], "what must be scrolled can be reached by keys, and has a name"
    assert seen["unscoped"] == 0


def test_text_is_large_enough_and_stands_out(seen: dict[str, Any]) -> None:
    assert seen["faint"] == []
    assert seen["tiny"] == []
    assert seen["language"] == "en"
    assert "small" in seen["title"]


def test_nothing_is_fetched(seen: dict[str, Any]) -> None:
    assert seen["fetched"] == []
    assert seen["scripts"] == 0
    assert all(resource.startswith("data:image/") for resource in seen["resources"])
    assert len(seen["ids"]) == len(set(seen["ids"]))
    assert set(seen["links"]) <= {f"#{name}" for name in seen["ids"]}, "every link leads somewhere in the page"


@pytest.mark.parametrize("width", WIDTHS.values())
def test_failures_and_long_words_do_not_break_the_page(failing: Path, folder: Path, width: int) -> None:
    found = browser.measure(failing, folder, width)
    assert found["overflow"] <= 0
    assert found["outside"] == []
    assert "Failed trials" in [text for _, text, _ in found["headings"]]


def test_the_overview_leads_to_the_reports(small: Path, failing: Path, folder: Path) -> None:
    output = small.parents[1] / "report.html"
    call("overview", small.parent, small.parent, "-o", output)
    found = browser.measure(output, folder, WIDTHS["phone"])
    assert found["overflow"] <= 0
    assert [image["natural"] > 100 for image in found["images"]] == [True, True]
    leading = [link for link in found["links"] if not link.startswith("#")]
    assert leading == ["small/report.html"] * 2
    assert (output.parent / leading[0]).is_file()
    assert found["fetched"] == []
    assert len(found["ids"]) == len(set(found["ids"])), "two of one name have places of their own"


def test_a_picture_of_the_page_has_the_colours_of_the_methods(small: Path, folder: Path) -> None:
    picture = folder / "report.png"
    browser.run(folder, "--window-size=1280,9000", f"--screenshot={picture}", small.as_uri())
    pixels = (image.imread(picture)[:, :, :3] * 255).round().astype(int)
    for colour in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00), (0x00, 0x9E, 0x73)):
        assert (abs(pixels - colour).max(axis=2) <= 3).sum() > 300, colour


def test_it_can_be_printed(small: Path, folder: Path) -> None:
    pdf = folder / "report.pdf"
    browser.run(folder, "--no-pdf-header-footer", f"--print-to-pdf={pdf}", small.as_uri())
    content = pdf.read_bytes()
    assert content.startswith(b"%PDF")
    assert 2 <= content.count(b"/Type /Page\n") <= 20
