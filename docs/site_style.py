"""The site's looks: contents at the side, above the text on a phone; light and dark by the reader's setting."""

STYLE = """
:root{color-scheme:light dark;--ground:#fbfaf8;--card:#f1efeb;--ink:#1d2126;--soft:#5c6570;--line:#e2e0db;
--mark:#2f6f8f}
@media (prefers-color-scheme:dark){:root{--ground:#15181b;--card:#1d2125;--ink:#e8e6e1;--soft:#9aa3ad;--line:#333a41;
--mark:#6fb4d3}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.6 system-ui,sans-serif;display:grid;
grid-template-columns:14rem minmax(0,50rem);gap:2.5rem;padding:0 1.25rem;max-width:72rem;margin:0 auto}
nav{font-size:.92rem}
nav .side{position:sticky;top:0;max-height:100vh;overflow-y:auto;padding:1.5rem 0}
nav details{display:none}
nav h4{margin:1rem 0 .2rem;font-size:.8rem;color:var(--soft);text-transform:uppercase;letter-spacing:.04em}
nav ul{list-style:none;margin:0;padding:0}
nav li{padding:.1rem 0}
nav [aria-current]{font-weight:600;color:var(--ink)}
main{padding:1.5rem 0 5rem;min-width:0;overflow-wrap:break-word}
a{color:var(--mark);text-decoration:none}
a:hover{text-decoration:underline}
h1{font-size:1.8rem;line-height:1.2;margin:.5rem 0 1rem}
h2{font-size:1.3rem;margin:2.2rem 0 .6rem}
h3{font-size:1.05rem;margin:1.5rem 0 .4rem}
pre{background:var(--card);border:1px solid var(--line);border-radius:.4rem;padding:.7rem .9rem;overflow-x:auto;
line-height:1.45}
code{font:.88em ui-monospace,monospace}
:not(pre)>code{background:var(--card);border-radius:.25rem;padding:.1em .3em}
table{border-collapse:collapse;display:block;overflow-x:auto;font-size:.93rem}
td,th{border-bottom:1px solid var(--line);padding:.35rem .9rem .35rem 0;text-align:left;vertical-align:top}
dt{margin-top:.9rem}
dt span{color:var(--soft);font-size:.88rem}
dd{margin:.1rem 0 0 1.2rem}
img{max-width:100%;background:#fff;border-radius:.4rem}
summary{cursor:pointer;color:var(--mark)}
@media (max-width:52rem){
body{display:block;padding:0 1rem}
nav .side{display:none}
nav details{display:block;padding-top:1rem}
}
"""
