"""What a report shows of kept outputs, and what it only tells."""

from collections.abc import Callable

from flow_kernel.records.output_objects import FoundOutput
from flow_kernel.session.report import Displayed, ReportCell
from flow_kernel.session.report_outputs import OutputGallery, not_kept

HTML = "text/html"


def _cell(*outputs: Displayed, code: str = "x", depth: int = 0) -> ReportCell:
    return ReportCell(
        seq=1,
        session="",
        at="",
        elapsed_ms=1.0,
        status="ok",
        step="",
        depth=depth,
        code=code,
        stdout="",
        result="",
        error="",
        added=[],
        changed=[],
        removed=[],
        outputs=list(outputs),
    )


def _holding(data: bytes) -> Callable[[str], FoundOutput]:
    return lambda name: FoundOutput(data, "")


def test_a_full_page_shows_no_more_and_says_so() -> None:
    gallery, find = OutputGallery(room_bytes=10), _holding(b"12345678")
    first = list(gallery.of(_cell(Displayed(HTML, 8, "a")), find))
    second = list(gallery.of(_cell(Displayed(HTML, 8, "b")), find))

    assert first[0].startswith("<iframe")
    assert second == ['<p class="dim">kept, not shown: text/html 8 B (the page is full)</p>']


def test_nothing_is_drawn_that_is_not_what_it_says() -> None:
    find = _holding(b"<script>")
    for mime in ("image/png", "image/jpeg", "application/vnd.plotly.v1+json", '"><b>'):
        (told,) = OutputGallery().of(_cell(Displayed(mime, 8, "a")), find)
        assert told.startswith('<p class="dim">kept, not shown: ')
        assert "<b>" not in told


def test_markup_of_an_output_stands_only_inside_its_frame_escaped() -> None:
    find = _holding(b"\"'></iframe><script>&\0</script>")
    for mime in (HTML, "image/svg+xml", "text/markdown", "text/latex", "application/json"):
        (drawn,) = OutputGallery().of(_cell(Displayed(mime, 8, "a")), find)
        assert "<script" not in drawn
        assert drawn.count("<") == 2


def test_frames_are_as_high_as_their_content_within_bounds() -> None:
    heights = [
        next(iter(OutputGallery().of(_cell(Displayed(mime, 8, "a")), _holding(data))))
        .partition("height:")[2]
        .partition("px")[0]
        for mime, data in (
            (HTML, b"x"),
            (HTML, b"<table>" + b"<tr>" * 6),
            (HTML, b"<tr>" * 1000),
            ("image/svg+xml", b'<?xml?><svg width="9" height="90pt">'),
            ("image/svg+xml", b"<svg height='9999'>"),
            ("image/svg+xml", b"<svg>"),
        )
    ]

    assert heights == ["64", "194", "480", "152", "480", "400"]


def test_a_display_is_shown_once_and_our_own_cards_are_not() -> None:
    gallery, find = OutputGallery(), _holding(b"<b>1</b>")
    outer = list(gallery.of(_cell(Displayed(HTML, 8, "a")), find))
    inner = list(gallery.of(_cell(Displayed(HTML, 8, "a"), depth=1), find))
    own = list(gallery.of(_cell(Displayed(HTML, 8, "b"), code="%task finish\n"), find))

    assert (len(outer), inner, own) == (1, [], [])


def test_what_was_not_kept_is_listed_with_type_and_size() -> None:
    cell = _cell(*[Displayed("text/<b>", 1500)] * 14, Displayed(HTML, 8, "a"))

    assert not_kept(cell) == (
        '<p class="dim">displayed, not kept: '
        + ", ".join(["text/&lt;b&gt; 1.5 kB"] * 12)
        + " and 2 more</p>"
    )
    assert not_kept(_cell(Displayed(HTML, 8, "a"))) == ""
