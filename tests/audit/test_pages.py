"""The pages: they need nothing else, hold what the table holds, and can be read without seeing."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from polysemanticity import audit
from polysemanticity.audit import pages

VOID = {"meta", "img"}


class Reader(HTMLParser):
    """Elements with their attributes; what is opened must be closed in order."""

    def __init__(self, page):
        super().__init__()
        self.open, self.seen = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, tag):
        return [attributes for name, attributes in self.seen if name == tag]


@pytest.fixture(scope="module")
def layers():
    rng = np.random.default_rng(0)
    return audit.layers(
        {"a<b>": rng.standard_normal((200, 30)), "narrow": rng.standard_normal((200, 1))}, simulations=0
    )


@pytest.fixture(scope="module")
def weights():
    return audit.weights(np.random.default_rng(1).standard_normal((300, 20)))


@pytest.mark.parametrize("kind", ["layers", "weights"])
def test_a_page_needs_nothing_else_and_can_be_read_aloud(kind, request):
    page = request.getfixturevalue(kind).to_html()
    read = Reader(page)
    assert not read.open and read.all("html") == [{"lang": "en"}] and not read.all("script") and not read.all("link")
    assert not re.search(r"(src|href)=\"(?!data:)|url\(|@import", page) and len(page) < 400_000
    (picture,) = read.all("img")
    assert len(picture["alt"]) > 40 and picture["src"].startswith("data:image/png;base64,iVBOR")
    assert all(head["scope"] in ("col", "row") for head in read.all("th")) and len(read.all("h1")) == 1
    assert len(read.all("caption")) == len(read.all("table")) >= 1
    assert all(region.get("aria-label") and region["tabindex"] == "0" for region in read.all("div"))


def test_a_page_says_what_the_report_says(layers, weights):
    page = layers.to_html()
    assert "a&lt;b&gt;" in page and "a<b>" not in page and "a single unit" in page
    assert f"{layers.table['participation'][0]:.3g}" in page
    page = weights.to_html()
    assert page.count('<th scope="row">') == pages.MOST + len(
        [value for value in weights.summary().values() if isinstance(value, int | float)]
    )
    assert "100 more are in the JSON" in page and "Nothing that random directions would not show" in page


def test_numbers_are_written_for_people():
    written = [pages._number(value) for value in (True, np.nan, 12345.6, 0.01234, 7, "name", np.bool_(False))]
    assert written == ["yes", "–", "12,346", "0.0123", "7", "name", "no"]
