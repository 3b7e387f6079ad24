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
_MARKUP: Final = (
    "<script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    "<svg onload=window.hacked=1>",
    "<svg><script>window.hacked=1</script></svg>",
    "<iframe srcdoc='<script>parent.hacked=1</script>'></iframe>",
    "<body onload=window.hacked=1>",
    "<a href=javascript:window.hacked=1>click</a>",
    "<style>*{display:none}</style>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<base href=//evil.example/>",
    "<form action=//evil.example><button>go</button></form>",
    "<object data=//evil.example/x></object>",
    "<embed src=//evil.example/x>",
    "<math><mtext><img src=x onerror=window.hacked=1></mtext></math>",
    "<details open ontoggle=window.hacked=1>",
    "<input autofocus onfocus=window.hacked=1>",
    "<template><script>window.hacked=1</script></template>",
    "<noscript><p title='</noscript><img src=x onerror=window.hacked=1>'>",
    "<!--><img src=x onerror=window.hacked=1>-->",
    "<![CDATA[<script>window.hacked=1</script>]]>",
    "<?xml version='1.0'?><x/>",
    "<xmp><script>window.hacked=1</script></xmp>",
    "<plaintext>",
    "<dialog open>mine</dialog>",
    "javascript:window.hacked=1",
    "data:text/html,<script>window.hacked=1</script>",
    "vbscript:msgbox(1)",
    "//evil.example/x",
    "#/approvals",
    "../../../../etc/passwd",
    "..\\..\\windows",
    "%2e%2e%2f%2e%2e%2f",
    "${window.hacked=1}",
    "{{constructor.constructor('window.hacked=1')()}}",
    "`+alert(1)+`",
    "__proto__",
    "constructor",
    "toString",
    '{"__proto__":{"hacked":1}}',
    "&lt;script&gt;window.hacked=1&lt;/script&gt;",
    "&#60;script&#62;",
    "&amp;amp;",
    "\x1b[31mred\x1b[0m",
    "\x1b]52;c;aGFja2Vk\x07",
    "\x1b]8;;http://evil.example\x07link\x1b]8;;\x07",
    "a\rb",
    "a\u2028b\u2029c",
    "\u202egnp.exe",
    "\u2066x\u2069",
)
_BEFORE: Final = (
    "{}",
    '">{}',
    "'>{}",
    "</pre>{}",
    "</title></textarea>{}",
    "--></script>{}",
)
HOSTILE: Final = tuple(around.format(text) for around in _BEFORE for text in _MARKUP)
"""Three hundred that would run or fetch something on a page of a browser."""
