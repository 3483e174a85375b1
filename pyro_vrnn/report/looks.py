"""How a page looks: the reader's light or dark, one column, wide tables scroll by themselves."""

STYLE = """
:root { color-scheme: light dark; --text: #1c1e21; --page: #ffffff; --soft: #5b6068; --line: #d9dce1; --card: #f5f6f8;
  --curve0: #0b62a8; --curve1: #c2410c; --warn: #fff4e0; --edge: #b45309; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e8eb; --page: #16181c; --soft: #a2a8b1; --line: #3a3f47; --card: #1f2329;
    --curve0: #6cb4ee; --curve1: #f59e5b; --warn: #3a2c12; --edge: #f5b041; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1rem; background: var(--page); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0.5rem 0 0; line-height: 1.2; }
h2 { font-size: 1.15rem; margin: 2rem 0 0.5rem; border-bottom: 1px solid var(--line); }
header p { color: var(--soft); margin: 0.3rem 0 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.92rem; overflow-wrap: normal; }
th, td { padding: 0.3rem 0.7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
tbody th { text-align: left; font-weight: 500; }
thead th { font-weight: 600; }
.caption p, figcaption { margin: 0.2rem 0; color: var(--soft); font-size: 0.85rem; }
figcaption b { color: var(--text); }
.warning { background: var(--warn); border-left: 4px solid var(--edge); padding: 0.5rem 0.8rem; }
figure { margin: 1rem 0; }
figure img { display: block; max-width: 100%; height: auto; background: #ffffff; border-radius: 4px; }
svg { display: block; width: 100%; height: auto; }
svg.curves { max-width: 46rem; }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .tick { fill: var(--soft); font-size: 11px; }
polyline { fill: none; stroke-width: 1.6; }
.curve0 { stroke: var(--curve0); } .curve1 { stroke: var(--curve1); }
circle.curve0 { fill: var(--curve0); } circle.curve1 { fill: var(--curve1); }
.key0, .key1 { white-space: nowrap; } .key0::before, .key1::before { content: ""; display: inline-block; width: 1.2em;
  height: 0.2em; vertical-align: middle; margin-right: 0.3em; background: var(--curve0); }
.key1::before { background: var(--curve1); }
.pieces { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(18rem, 100%), 1fr)); gap: 1rem; }
.piece { margin: 0; padding: 0.8rem; background: var(--card); border-radius: 6px; }
.piece svg { height: 4rem; } .piece audio { width: 100%; margin-top: 0.4rem; }
svg .wave { stroke: var(--curve0); stroke-width: 1; fill: none; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.2rem 1rem; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; }
details { margin: 0.8rem 0; } summary { cursor: pointer; }
pre { background: var(--card); padding: 0.8rem; overflow-x: auto; font-size: 0.82rem; overflow-wrap: normal; }
footer { margin: 2rem 0 1rem; color: var(--soft); font-size: 0.85rem; }
@media (max-width: 30rem) { dl { grid-template-columns: 1fr; } dt { margin-top: 0.4rem; }
  th, td { padding: 0.3rem 0.4rem; } }
"""
