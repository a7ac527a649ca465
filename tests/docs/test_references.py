"""Papers: what code and pages name by arXiv number is among the references, and how to cite agrees with itself."""

import re
from pathlib import Path

import pytest
import yaml
from pybtex.database import BibliographyData, parse_file, parse_string

import minvae_pyro

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
NUMBER = re.compile(r"(?:arXiv[\s:]*|arxiv\.org/abs/)(\d{4}\.\d{4,5})")


@pytest.fixture(scope="module")
def papers() -> BibliographyData:
    return parse_file(DOCS / "references.bib")


def test_every_paper_that_is_named_is_among_the_references_and_no_other(papers: BibliographyData) -> None:
    tops = ("models", "guides", "minvae_pyro", "examples")
    code = [source for top in tops for source in (REPOSITORY / top).rglob("*.py")]
    pages = [*REPOSITORY.glob("*.md"), *DOCS.glob("*.md")]
    named = {number for file in (*code, *pages) for number in NUMBER.findall(file.read_text())}
    assert len(named) > 15
    assert named == {entry.fields["eprint"] for entry in papers.entries.values()}


def test_every_reference_says_who_what_when_and_where(papers: BibliographyData) -> None:
    for key, entry in papers.entries.items():
        assert entry.persons["author"], key
        assert {"title", "year", "eprint", "archiveprefix"} <= set(entry.fields), key
        place = {"article": "journal", "inproceedings": "booktitle"}.get(entry.type)
        assert place is None or place in entry.fields, key


def test_the_page_and_the_citation_file_agree(papers: BibliographyData) -> None:
    (block,) = re.findall(r"^```bibtex\n(.*?)^```$", (DOCS / "references.md").read_text(), re.M | re.S)
    shown = parse_string(block, "bibtex").entries
    assert shown["sadeghi2021mixture"] == papers.entries["sadeghi2021mixture"]
    cff = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    software = shown["minvae_pyro"].fields
    assert software["title"].replace("\\_", "_") == cff["title"]
    assert software["version"].strip("{}") == cff["version"] == minvae_pyro.__version__
    assert software["license"] == cff["license"]
    paper, fields = cff["preferred-citation"], shown["sadeghi2021mixture"].fields
    assert [paper["title"], paper["journal"], str(paper["volume"]), str(paper["year"])] == [
        re.sub("[{}]", "", fields[name]) for name in ("title", "journal", "volume", "year")
    ]
    assert fields["pages"] == f"{paper['start']}--{paper['end']}"
    assert paper["identifiers"][0]["value"] == f"arXiv:{fields['eprint']}"
