"""The documentation site: it builds without a warning, asks for nothing remote, and shows all it should at both widths."""

import gzip
import importlib.resources
import itertools
import re
import urllib.parse
from html.parser import HTMLParser

import nbformat
import pytest
from browser import Browser, needs_chromium, served

from polysemanticity.base import paths
from polysemanticity.engine import publish
from polysemanticity.pages import audits, pictures, reference, site

PROBLEMS = r"""
(async () => {
  await window.MathJax?.startup?.promise;
  const found = [];
  for (const image of document.images) {
    image.loading = "eager";
    await image.decode().catch(() => {});
    if (!image.naturalWidth) found.push(`not loaded: ${image.src}`);
    if (!image.alt.trim() || /\.(png|webp|svg)$/.test(image.alt)) found.push(`no alt text: ${image.src}`);
  }
  await document.fonts.ready;
  for (const frame of [1, 2, 3]) await new Promise((drawn) => requestAnimationFrame(drawn));  // what follows a size has run
  for (const formula of document.querySelectorAll(".math"))
    if (!formula.querySelector("mjx-container svg")) found.push(`not typeset: ${formula.textContent}`);
  for (const wrong of document.querySelectorAll("[data-mml-node=merror]")) found.push(`error: ${wrong.textContent}`);
  const words = document.createTreeWalker(document.querySelector("article") ?? document.body, NodeFilter.SHOW_TEXT);
  while (words.nextNode()) {
    const node = words.currentNode;
    if (!node.parentElement.closest("code, pre, script, style, .sig, mjx-container") && /\\[a-zA-Z([]|\$[^$]+\$/.test(node.data))
      found.push(`raw TeX: ${node.data}`);
  }
  const page = document.documentElement;
  if (page.scrollWidth > page.clientWidth) {
    const wide = [...document.querySelectorAll("article *")].filter((e) => e.getBoundingClientRect().right > page.clientWidth + 1);
    found.push(`scrolls sideways: ${page.scrollWidth} px, ${wide.slice(0, 3).map((e) => e.outerHTML.slice(0, 90))}`);
  }
  for (const element of document.querySelectorAll("article *")) {
    const scrolls = /auto|scroll/.test(getComputedStyle(element).overflowX) && element.clientWidth;
    if (scrolls && element.scrollWidth > element.clientWidth + 1 && element.tabIndex < 0 && !element.querySelector("a, button, input"))
      found.push(`no keyboard scrolls it: ${element.outerHTML.slice(0, 90)}`);
  }
  for (const toggle of document.querySelectorAll("button, summary, select, input, a[href]"))
    if (toggle.checkVisibility({visibilityProperty: true, checkVisibilityCSS: true}) && !(toggle.textContent ?? "").trim() && !toggle.ariaLabel && !toggle.title && !toggle.placeholder && !toggle.labels?.length && !toggle.querySelector("[alt], [aria-label], svg"))
      found.push(`nameless: ${toggle.outerHTML.slice(0, 90)}`);
  const first = [...document.querySelectorAll("article img")].find((image) => image.getBoundingClientRect().width > 60);
  if (first && first.getBoundingClientRect().top + scrollY > 2 * innerHeight) found.push("no picture within two screens");
  return found;
})()
"""
KINDS = (  # a page of each kind, for what is too slow to be done on all
    "index", "claims", "gallery", "03_feature_capacity", "audits/feature_capacity", "audits/feature_capacity/price", "glossary", "search",
    "reference/what_everything_stands_on",
)  # fmt: skip
AXE = """
axe.run({resultTypes: ["violations"]}).then(({violations}) => violations
  .filter(({impact}) => ["serious", "critical"].includes(impact))
  .map(({id, nodes}) => `${id}: ${nodes[0].html.slice(0, 120)}`))
"""
MOST = 3_000_000  # bytes


@pytest.fixture(scope="module")
def html():
    return site.build()


class Tags(HTMLParser):
    """Links, anchors and what is loaded by a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.anchors, self.loaded, self.lazy = [], set(), [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors.add(attributes.get("id"))
        if tag == "a" and attributes.get("href"):
            self.links.append(attributes["href"])
        elif tag == "link" and attributes.get("rel") not in ("canonical",):
            self.loaded.append(attributes.get("href"))
        elif attributes.get("src"):
            self.loaded.append(attributes["src"])
            if attributes.get("loading") == "lazy":
                self.lazy.add(attributes["src"])


@pytest.fixture(scope="module")
def pages(html):
    return {file: Tags(file.read_text()) for file in sorted(html.rglob("*.html")) if "_static" not in file.parts}


def test_every_link_resolves_and_nothing_remote_is_loaded(pages):
    for file, tags in pages.items():
        assert not [url for url in tags.loaded if url and re.match(r"(https?:)?//", url)], file
        for link in tags.links:
            url = urllib.parse.urlsplit(link)
            if url.scheme:
                assert url.scheme in ("https", "mailto") and (url.netloc or url.path), f"{file}: {link}"
                continue
            target = (file.parent / urllib.parse.unquote(url.path)).resolve() if url.path else file
            assert target.is_file(), f"{file}: {link}"
            if url.fragment and target in pages:
                assert urllib.parse.unquote(url.fragment) in pages[target].anchors, f"{file}: {link}"


def test_every_public_name_is_in_the_reference(pages):
    shown = {anchor for file, tags in pages.items() if file.parent.name == "reference" for anchor in tags.anchors}
    modules = [path for path in paths.PACKAGE.rglob("*.py") if path.read_text().count("\n") > 2]
    names = [path.relative_to(paths.PACKAGE.parent).with_suffix("") for path in modules]
    names = [".".join(name.parts).removesuffix(".__init__") for name in names if name.name != "__main__"]
    public = [f"{name}.{item}" for name in names for _, item in reference.public(name)]
    assert len(public) > 500 and not set(public) - shown


def test_every_claim_and_every_figure_has_its_place(html, pages):
    text = {file: file.read_text() for file in pages}
    table = text[html / "claims.html"]
    for slug in audits.papers():
        for row in audits.rows(slug).values():
            assert f'{audits.label(row["id"])}"' in table, row["id"]
        for picture in (paths.ROOT / "figures" / slug).glob("*.png"):
            name = f"{picture.stem}."
            assert any(name in page for file, page in text.items() if file.name != "gallery.html"), name


@needs_chromium
def test_every_page_in_a_browser_wide_and_narrow(html, pages):
    found = {}
    with served(html) as address, Browser(width=1400, height=900) as browser:
        page = browser.open("about:blank")
        for file in pages:
            name = str(file.relative_to(html))
            page.resize(1400, 900)
            page.goto(f"{address}/{name}")
            wide = page.evaluate(PROBLEMS)
            page.resize(400, 900)
            found[name] = wide + page.evaluate(PROBLEMS)
        found["console"] = page.console_errors
        found["remote"] = [url for url in page.requests if not url.startswith((address, "data:", "blob:", "about:"))]
    assert not {name: problems for name, problems in found.items() if problems}


@needs_chromium
def test_axe_finds_nothing_serious_on_a_page_of_each_kind(html):
    script = (importlib.resources.files(pytest.importorskip("axe_core_python")) / "axe.min.js").read_text(
        encoding="utf-8"
    )
    found = {}
    with served(html) as address, Browser(width=400, height=900) as browser:
        page = browser.open("about:blank")
        for name, (theme, width) in itertools.product(KINDS, (("light", 1400), ("dark", 400))):
            page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
            page.resize(width, 900)
            page.goto(f"{address}/{name}.html")
            assert page.evaluate("document.documentElement.dataset.theme") == theme
            page.evaluate("window.MathJax?.startup?.promise?.then(() => true)")
            page.evaluate(
                "document.head.insertAdjacentHTML('beforeend', '<style>* {transition: none !important}</style>')"
            )
            page.evaluate(f"{script};0")
            found[f"{name}, {theme}"] = page.evaluate(AXE)
    assert not {name: problems for name, problems in found.items() if problems}


def test_no_page_is_heavy(html, pages):
    """Text counts as servers send it, compressed; pictures that are loaded only when they are seen do not count."""
    weight = {}
    for file, tags in pages.items():
        loaded = {(file.parent / urllib.parse.urlsplit(url).path).resolve() for url in tags.loaded if url}
        loaded -= {(file.parent / urllib.parse.urlsplit(url).path).resolve() for url in tags.lazy}
        sizes = [
            len(gzip.compress(part.read_bytes(), 6)) if part.suffix in (".js", ".css", ".html") else part.stat().st_size
            for part in {file, *(part for part in loaded if part.is_file())}
        ]
        weight[file.name] = sum(sizes)
    heavy = {name: size for name, size in weight.items() if size > MOST}
    assert not heavy


def test_pictures_are_lazy_and_open_at_their_full_size(html, pages):
    for file in pages:
        text = re.sub(r"<header.*?</header>", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
        for image in re.finditer(r"<img [^>]*>", text):
            if image.start() > text.find("<article") and "toggler" not in image[0]:
                before = text[: image.start()]
                assert before.rfind("<a ") > before.rfind("</a>"), f"{file}: {image[0]}"
                assert 'loading="lazy"' in image[0], f"{file}: {image[0]}"


@needs_chromium
def test_the_table_of_claims_is_filtered(html):
    rows = [row for slug in audits.papers() for row in audits.rows(slug).values()]
    shown = "[...document.querySelectorAll('.claims tbody tr')].filter((row) => row.offsetParent).length"
    with served(html) as address, Browser() as browser:
        page = browser.open(f"{address}/claims.html")
        assert page.evaluate(shown) == len(rows)
        choose = "(() => {{ const m = document.querySelector('[name={}]'); m.selectedIndex = {}; m.dispatchEvent(new Event('input', {{bubbles: true}})); return m.value; }})()"
        verdict = page.evaluate(choose.format("verdict", 1))
        assert page.evaluate(shown) == sum(verdict.endswith(row["verdict"]) for row in rows) > 0
        page.evaluate(choose.format("verdict", 0))
        page.click("[name=word]")
        page.type(rows[0]["id"].lower())
        assert page.evaluate(shown) == 1
        assert page.evaluate("document.querySelector('.claims output').textContent") == f"1 of {len(rows)}"
        page.goto(page.evaluate("location.href"))  # the address keeps the choice
        assert page.evaluate(shown) == 1
        page.goto(f"{address}/claims.html?verdict=fails")
        assert page.evaluate(shown) == sum(row["verdict"] == "fails" for row in rows)


def test_sources_keep_to_their_folder_and_go_when_they_are_gone(tmp_path):
    site.lay_out({"a.md": "one", "in/b.md": b"two"}, tmp_path)
    stamp = (tmp_path / "a.md").stat().st_mtime_ns
    site.lay_out({"a.md": "one", "c.md": tmp_path / "a.md"}, tmp_path)
    assert (tmp_path / "a.md").stat().st_mtime_ns == stamp and (tmp_path / "c.md").read_text() == "one"
    assert not (tmp_path / "in" / "b.md").exists()


def test_a_run_that_publishes_leaves_the_pages_written_by_hand(tmp_path):
    staging, place = tmp_path / "staging", tmp_path / "place"
    (staging / "figures" / "toy").mkdir(parents=True)
    nbformat.write(nbformat.v4.new_notebook(), staging / "01_toy.ipynb")
    by_hand = [place / "docs" / "scaling.md", place / "figures" / "README.md"]
    for file in by_hand:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("by hand")
    publish.publish("toy", staging / "01_toy.ipynb", place)
    assert (place / "docs" / "01_toy.ipynb").exists() and (place / "figures" / "toy").is_dir()
    assert [file.read_text() for file in by_hand] == ["by hand"] * 2


def test_without_sphinx_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(site, "NEEDS", ("sphinx", "no_such_package"))
    with pytest.raises(ValueError, match=r"no_such_package.*\.\[docs\]"):
        site.build()


def shows(source="", **mark):
    """A code cell that was executed and whose output says what it is."""
    shown = {"image/png": "", "text/markdown": "a verdict in words"}
    output = nbformat.v4.new_output("display_data", shown, metadata={"polysemanticity": mark})
    return nbformat.v4.new_code_cell(source, outputs=[output, nbformat.v4.new_output("stream", text="x")])


def test_figures_and_claims_are_found_by_what_outputs_say_they_are():
    slug, paper = next(iter(audits.papers().items()))
    name, rows = (
        next(iter(paper.FIGURES)),
        {key: row for each in audits.papers() for key, row in audits.rows(each).items()},
    )
    title, said = nbformat.v4.new_markdown_cell("## A section"), nbformat.v4.new_markdown_cell("So it is.")
    unnamed = nbformat.v4.new_code_cell("judge('TO-02')\nplots.save(fig, 'fig9')")
    document = nbformat.v4.new_notebook(cells=[title, shows(figure=name), unnamed, said, shows(claim="TO-01")])
    assert [pictures.shown_in(cell, "claim") for cell in document.cells] == [[], [], [], [], ["TO-01"]]
    first, cover, *cells = site.page(f"01_{slug}", document).cells
    assert first.source == "(to-01-in-notebook)=\n## A section" and paper.COVER in cover.source
    alts = [cell.metadata["mystnb"]["image"]["alt"] for cell in cells if cell.cell_type == "code"]
    assert alts[:2] == [pictures.alt(paper, name, rows), "Picture drawn by the code above, in the section “A section”."]


@pytest.mark.parametrize(
    ("cells", "explained"),
    [
        ("text 1, claim A, text 2", {"A": "2"}),
        ("text 1, claim A", {"A": "1"}),
        ("text 1, claim A, claim B", {"A": "1", "B": "1"}),
        ("text 1, claim A, text 2, claim B", {"A": "2", "B": "2"}),
        ("text 1, head x, claim A", {"A": ""}),
    ],
)
def test_a_claim_is_explained_by_what_its_section_says(cells, explained):
    make = {
        "text": nbformat.v4.new_markdown_cell,
        "head": lambda word: nbformat.v4.new_markdown_cell(f"# {word}"),
        "claim": lambda word: shows(claim=word),
    }
    document = nbformat.v4.new_notebook(cells=[make[kind](word) for kind, word in map(str.split, cells.split(", "))])
    assert audits.explanations(document) == explained


def test_what_no_network_identified_is_said_in_words():
    paper = audits.papers()["coding_theory_spectra"]
    claim, row = next(iter(paper.CLAIMS.items()))
    rule = next(iter(paper.CLAIMS[claim].rule))
    lost = {"measured": {rule: None}, "interval": {rule: [None, None]}}
    assert f"| {audits.text(rule)} | not identified | −∞ … ∞ |" in audits._measured(row, lost)


def test_names_in_a_text_are_code():
    assert audits.text("ours (`flow.x_i`), x_i * 2") == r"ours (`flow.x_i`), $x_{i}$ \* 2"


def test_text_is_shown_as_it_is():
    assert audits.text("|a|* $x$ [b]") == r"\|a\|\* \$x\$ \[b\]"


@pytest.mark.parametrize(
    "plain, shown",
    [
        ("`x` and `a b`, not *quiet*", r":py:obj:`x` and \ ``a b``\ , not \ *quiet*"),
        ("|W| a_b (c)", r"\|W\| a\_b (c)"),
        ("(a) b", r"\(a) b"),
        ("with $a_i$ here", r"with \ :math:`a_i` here"),
        ("$$a = b$$", ".. math:: a = b"),
        ("    z = 1", "::\n\n    z = 1"),
        ("Alias for field number 3", ""),
    ],
)
def test_docstrings_become_restructured_text(plain, shown):
    lines = plain.split("\n")
    reference.process(None, "function", "f", None, None, lines)
    assert "\n".join(lines) == shown
