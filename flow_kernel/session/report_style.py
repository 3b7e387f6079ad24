"""How a report looks: on a screen, on a phone and on paper (pure).

Called by `report_html`.
"""

from typing import Final

STYLE: Final = """
:root{color-scheme:light dark;--line:#8885;--dim:#666;--ok:#1f7a4d;--bad:#b3361f;--now:#2c5cc5}
@media(prefers-color-scheme:dark){:root{--dim:#a2a2a2;--ok:#4fc08a;--bad:#ff8a70;--now:#86adff}}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;margin:0;padding:1.4em}
main{max-width:60em;margin:0 auto;overflow-wrap:anywhere}
h1,h2.name{font-size:1.45em;line-height:1.25;margin:0 0 .15em}
h2,h3{font-size:1.05em;margin:1.7em 0 .35em}
p{margin:.3em 0;white-space:pre-line}.dim,.note,time{color:var(--dim)}
.state{font-weight:600}.state.done{color:var(--ok)}.state.failed{color:var(--bad)}
.state.doing{color:var(--now)}
article+article,nav+article{margin-top:2.6em;border-top:1px solid var(--line);padding-top:1.8em}
a{color:inherit;text-decoration-color:var(--line);text-underline-offset:.2em}
a:hover{text-decoration-color:inherit}
:focus-visible{outline:2px solid var(--now);outline-offset:2px;border-radius:2px}
:target{background:#fc03}
ul{list-style:none;margin:0;padding:0}
li{display:flex;gap:.7em;padding:.14em 0}li .note{margin-left:auto;text-align:right;flex:none;
max-width:50%}
time{flex:none;font-variant-numeric:tabular-nums}
i{font-style:normal;width:1em;flex:none;display:inline-block}
.done>i,.ok i,.approved>i,.success>i{color:var(--ok)}
.failed>i,.error i,.rejected>i,.expired>i,.bad{color:var(--bad)}.doing>i{color:var(--now)}
table{border-collapse:collapse;width:100%}td{padding:.28em .7em .28em 0;vertical-align:top}
tbody tr{border-top:1px solid var(--line)}
td.n{text-align:right;white-space:nowrap;color:var(--dim);font-variant-numeric:tabular-nums}
td.wide{width:100%}
code,pre{font:13px/1.45 ui-monospace,"DejaVu Sans Mono",monospace}
pre{margin:.4em 0;padding:.6em;border:1px solid var(--line);border-radius:4px;
white-space:pre-wrap}
.run{margin:1em 0 0}
.out{display:block;margin:.5em 0}img.out{max-width:100%;max-height:40em;background:#fff}
iframe.out{width:100%;min-height:4em;max-height:40em;border:1px solid var(--line);background:#fff;
color-scheme:light;resize:vertical;overflow:auto}
summary{cursor:pointer}.line{padding-left:1.05em}
.sr{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
@media(max-width:36em){
body{padding:1em .9em}.hide{display:none}
li{flex-wrap:wrap;gap:0 .6em}li>span:not(.note,.sr){flex:1 1 70%}
li .note{margin-left:1.6em;flex-basis:100%;max-width:none;text-align:left}
}
@media print{
@page{margin:16mm 14mm}
:root{color-scheme:light;--dim:#555;--ok:#1f7a4d;--bad:#b3361f;--now:#2c5cc5;--line:#bbb}
body{padding:0;font-size:10.5pt}main{max-width:none}code,pre{font-size:8.5pt}
article+article{break-before:page;border:0;padding:0;margin:0}
h1,h2,h3{break-after:avoid}li,tr,summary{break-inside:avoid}
.run svg{max-width:100%!important;height:auto!important}
.out{break-inside:avoid;resize:none!important}img.out{max-height:22cm}
pre{orphans:3;widows:3}
details::details-content{content-visibility:visible;display:block;height:auto}
summary{list-style:none}.line{padding:0}a{text-decoration:none}
}
"""
