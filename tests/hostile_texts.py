"""Three hundred texts that mean to be more than text: for HTML, for terminals, for parsers (pure).

Called by tests of what shows texts of users.
"""

from typing import Final

_TAGS: Final = (
    "<script>{0}</script>", "<img src=x onerror={0}>", "<svg onload={0}>", "<b>{0}</b>",
    "</div><h1>{0}</h1>", "</script><script>{0}</script>", "<iframe srcdoc='{0}'>",
    "<a href='javascript:{0}'>go</a>", "<style>*{{display:none}}</style>{0}", "<!--{0}-->",
    "<math><mi>{0}", "<details open ontoggle={0}>", "<input autofocus onfocus={0}>",
    "<template>{0}</template>", "<button data-commandlinker-command='{0}'>x</button>",
    "]]><x>{0}", "<form action=//evil><input name={0}>", "<base href=//evil>{0}",
    "<meta http-equiv=refresh content='0;{0}'>", "<object data={0}>", "<plaintext>{0}",
)  # fmt: skip
_AROUND: Final = (
    "{0}", '"{0}', "'{0}", '">{0}', "'>{0}", "`{0}`", "&lt;{0}&gt;", "${{{0}}}", "\\u003c{0}",
    "{{{{{0}}}}}", "<p {0}", "--!>{0}", "\x1b]0;{0}\x07", "\u202e{0}\u2066",
)  # fmt: skip
TEXTS: Final = (
    *(around.format(tag.format("alert(1)")) for tag in _TAGS for around in _AROUND),
    *("\x1b[2J", "\x9b31m", "a\u0000b", "\ud800", "\u202eevil", "\u2028", "a" * 5000),
)
"""All of them."""
