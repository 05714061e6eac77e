import json
from html.parser import HTMLParser

from lowland.report import Picture, figures_table, images, landscape, lines, table, write_report
from lowland.report.description import Block, describe, parse
from lowland.report.page import command


class Page(HTMLParser):
    """What a page asks a browser to load, and what it says."""

    VOID = ("meta", "br", "img", "link", "input", "hr")

    def __init__(self, text):
        super().__init__()
        self.loads, self.tags, self.open, self.text, self.undescribed = [], [], [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        values = dict(attributes)
        for name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
            if name in values:
                self.loads.append(values[name].strip())
        if tag in ("img", "svg") and not (values.get("alt") or values.get("aria-label")):
            self.undescribed.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag) if tag not in self.VOID else None

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def pictures():
    return [
        Picture("Landscape", "Low in `deep blue`.", landscape(lambda x: x.square().sum(-1), "x", resolution=20)),
        Picture("Images", "", images([[[0.0, 1.0], [1.0, 0.0]]] * 3)),
        Picture("Wide", "", lines([0, 1], {"a": [0, 1]}, width=9)),
        Picture("Table", "", table([{"a": 1}])),
    ]


def test_a_report_needs_nothing_but_itself(tmp_path, bowls, result):
    (tmp_path / "config.yaml").write_text("system: bowls\nbowls: 5\n")
    lines_ = [{"stage": "fit", "step": step, "loss": 1 / (1 + step)} for step in range(5)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines_))
    path = write_report(tmp_path, bowls, result, pictures())
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert all(load.startswith(("data:", "#")) for load in page.loads)
    assert "@import" not in text
    assert "url(http" not in text.replace(" ", "")
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert page.undescribed == []
    assert page.tags.count("svg") == 4  # three pictures and the curves
    for said in ("Bowls, and what lies in them", "E(x, z) = ½ ‖x − W_z‖²", "nothing pushes up", "1 of 2", "2.5 %", "✗ not met",
                 "0.95", "1 min 15 s", "09f66e", "lowland train bowls --seed 4 --bowls 5", "bowls: 5", "There is no paper."):  # fmt: skip
        assert said in page.text, said
    assert "<em>the nearest</em>, a &lt; b * c." in text
    assert path.stat().st_size < 300_000
    assert [entry.name for entry in tmp_path.iterdir() if entry.suffix == ".part"] == []


def test_a_run_without_pictures_curves_or_figures_has_a_report_too(tmp_path, bowls):
    page = Page(write_report(tmp_path, bowls, {}).read_text(encoding="utf-8"))
    assert "lowland train bowls" in page.text
    assert "Pictures" not in page.text


def test_a_smoke_run_claims_no_gate(tmp_path, bowls, result):
    page = Page(write_report(tmp_path, bowls, {**result, "preset": "smoke"}).read_text(encoding="utf-8"))
    assert "no result" in page.text
    assert "gates met" not in page.text


def test_what_is_written_in_a_result_can_do_no_harm(tmp_path, bowls, result):
    result["device"] = result["versions"]["torch"] = "<script>alert(1)</script>"
    page = Page(
        write_report(
            tmp_path, bowls, result, [Picture("<script>", "<script>", table([["<script>"]], ["<b>"]))]
        ).read_text()
    )
    assert "script" not in page.tags


def test_the_command_names_what_differs_from_the_preset(bowls):
    assert command(bowls, {}) == "lowland train bowls"
    assert command(bowls, {"preset": "smoke", "seed": 1, "config": {"bowls": 2, "rate": 0.1}}) == (
        "lowland train bowls --preset smoke --seed 1 --rate 0.1"
    )


def test_figures_stand_beside_the_gate_and_the_paper_s(bowls):
    html = figures_table({"test_error": 2.5, "accuracy": 0.8, "more": 7}, bowls.metrics).html
    assert '<td class="good">✓ met</td>' in html
    assert '<td class="bad">✗ not met</td>' in html
    assert html.index("≤ 3 %") < html.index("≥ 0.9") < html.index("more")


def test_a_docstring_comes_apart_into_title_lead_and_sections(bowls):
    found = describe(bowls)
    assert found.title == "Bowls, and what lies in them"
    assert [block.kind for block in found.lead] == ["code", "text"]
    assert found.lead[0].text == "E(x, z) = ½ ‖x − W_z‖²,  z in {1 … K}\nF(x)    = min_z E(x, z)"
    assert list(found.sections) == [
        "Training",
        "No collapse",
        "Sources",
        "Expect",
        "Known failure",
        "Differences from the paper",
    ]
    assert found.sections["Training"] == (
        Block("text", "lower the mean of F over the data; nothing pushes up (strategy A1)."),
    )
    assert found.sections["Differences from the paper"] == (
        Block("number", "There is no paper."), Block("number", "There are two differences."),
    )  # fmt: skip


def test_prose_with_a_colon_is_no_section():
    found = parse(
        "Title.\n\nThere are three things to see here: one, two.\nAnd more:\n\n    a = b\n\n    c = d\n\n- one\n- two"
    )
    assert found.sections == {"And more": (Block("code", "a = b\n\nc = d"), Block("item", "one"), Block("item", "two"))}
    assert found.lead == (Block("text", "There are three things to see here: one, two."),)
