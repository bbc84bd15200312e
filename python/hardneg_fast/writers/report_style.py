"""The report's looks: one column, light and dark by the reader's setting, nothing loaded from anywhere."""

STYLE = """
:root{color-scheme:light dark;--ground:#fbfaf8;--card:#fff;--ink:#1d2126;--soft:#5c6570;--line:#e2e0db;--mark:#2f6f8f;
--good:#2c7a4b;--bad:#b3452f}
@media (prefers-color-scheme:dark){:root{--ground:#15181b;--card:#1d2125;--ink:#e8e6e1;--soft:#9aa3ad;--line:#333a41;
--mark:#6fb4d3;--good:#6cc08b;--bad:#e58a72}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,sans-serif;
overflow-wrap:anywhere}
main{max-width:60rem;margin:0 auto;padding:1.5rem 1rem 4rem}
h1{font-size:1.7rem;line-height:1.2;margin:.5rem 0 .25rem}
h2{font-size:1.2rem;margin:2.5rem 0 .5rem}
h3{font-size:1rem;margin:1.25rem 0 .25rem}
p{margin:.4rem 0}
.soft,small{color:var(--soft);font-size:.9rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.6rem;margin:1.25rem 0}
.tile,.example,.privacy{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.7rem .9rem}
.tile b{display:block;font-size:1.3rem;line-height:1.3;white-space:nowrap;font-variant-numeric:tabular-nums}
.tile span{color:var(--soft);font-size:.85rem}
.privacy{border-left:.3rem solid var(--good)}
.privacy.open{border-left-color:var(--bad)}
.step{display:grid;grid-template:"name bar count"/minmax(7rem,14rem) 1fr 7.5rem;gap:0 .8rem;align-items:center}
.step>*{min-width:0}
.step .drawn{grid-area:bar}
.step .n{grid-area:count}
svg.bar,svg.columns{display:block}
svg rect{fill:var(--mark)}
svg .axis{stroke:var(--line)}
svg .drawn{stroke:var(--mark);stroke-width:2.5;stroke-linecap:round}
svg .here{stroke:var(--bad);stroke-dasharray:4 3}
svg .span{stroke:var(--ink);stroke-width:1.5}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),1fr));gap:1rem 2rem}
figure{margin:.5rem 0}
figcaption{color:var(--soft);font-size:.85rem}
h4{margin:.9rem 0 .1rem;font-size:.85rem;font-weight:600;color:var(--soft)}
svg text{fill:var(--soft);font-size:11px;text-anchor:middle}
.wide{overflow-x:auto}
.wide .n{padding-left:.4rem}
.wide td{min-width:4rem}
table{border-collapse:collapse;width:100%;font-size:.95rem}
th,td{text-align:left;vertical-align:top;padding:.35rem .8rem .35rem 0;border-bottom:1px solid var(--line)}
th{color:var(--soft);font-weight:600;font-size:.85rem}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
th{overflow-wrap:normal}
th.n{white-space:normal}
code{font:.85em ui-monospace,monospace}
pre{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.8rem;overflow-x:auto}
details{margin:.6rem 0}
summary{cursor:pointer;color:var(--mark)}
.example{margin:.7rem 0}
.example dl{display:grid;grid-template-columns:5.5rem 1fr;gap:.2rem .6rem;margin:0}
.example dt{color:var(--soft);font-size:.85rem;padding-top:.1rem}
.example dd{margin:0}
.yes{color:var(--good)}
.no{color:var(--bad)}
@media (max-width:34rem){
.step{grid-template:"name count" "bar bar"/1fr auto;margin-bottom:.5rem}
.example dl{grid-template-columns:1fr}
.example dd{margin-bottom:.4rem}
}
"""
