"""How the page of a comparison looks: one style sheet, for light, dark, narrow and paper."""

from __future__ import annotations

from .markup import Html

# Blue and orange are told apart with any colour vision (Okabe and Ito 2008, darker on white for contrast).
_LIGHT = """
  --paper: #ffffff; --card: #f6f7f9; --ink: #1b232d; --muted: #5a6673; --rule: #dfe3e8;
  --old: #0067a5; --new: #c25100; --agree: #00754f; --hold: #6b4fa0;
  --bad: #b3190f; --bad-card: #fdecea; --good: #00694a; --good-card: #e8f5ef;
"""
_DARK = """
  --paper: #12161b; --card: #1a2027; --ink: #e7ebf0; --muted: #9aa7b5; --rule: #2e3640;
  --old: #62b6ee; --new: #f2a33a; --agree: #45cf9c; --hold: #b79bea;
  --bad: #ff8f85; --bad-card: #3a1815; --good: #62d8a8; --good-card: #12291f;
"""

STYLE = Html(
    f":root {{ color-scheme: light dark; {_LIGHT} }}\n"
    f"@media (prefers-color-scheme: dark) {{ :root {{ {_DARK} }} }}\n"
    f"@media print {{ :root {{ color-scheme: light; {_LIGHT} }} }}\n"
    """
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 56px 40px 72px; max-width: 1080px; background: var(--paper); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
  font-variant-numeric: tabular-nums; print-color-adjust: exact; -webkit-print-color-adjust: exact;
}
h1 { margin: 0; font-size: 32px; line-height: 1.2; font-weight: 650; overflow-wrap: anywhere; }
h2 { margin: 64px 0 4px; font-size: 20px; font-weight: 650; }
h3 { margin: 0; font-size: 15px; font-weight: 650; overflow-wrap: anywhere; }
p { margin: 4px 0 0; max-width: 72ch; }
.muted, .lead { color: var(--muted); }
.lead { margin-top: 6px; overflow-wrap: anywhere; }
.side-old { color: var(--old); font-weight: 600; } .side-new { color: var(--new); font-weight: 600; }
.verdict { margin: 32px 0 0; padding: 20px 24px; border-left: 5px solid var(--muted); background: var(--card); }
.verdict p:first-child { margin: 0; font-size: 19px; font-weight: 650; }
.verdict.good { border-color: var(--good); background: var(--good-card); }
.verdict.bad { border-color: var(--bad); background: var(--bad-card); }
.good .word { color: var(--good); } .bad .word { color: var(--bad); }
.columns-2 { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 0 48px; }
.scroll { overflow-x: auto; }
table { width: 100%; margin-top: 14px; border-collapse: collapse; }
th, td { padding: 7px 0 7px 16px; border-bottom: 1px solid var(--rule); text-align: left; vertical-align: baseline; }
th:first-child, td:first-child { padding-left: 0; }
thead th { color: var(--muted); font-weight: 500; font-size: 13px; }
tbody th { font-weight: 400; }
.number { text-align: right; white-space: nowrap; }
tr.bad td, tr.bad th { color: var(--bad); font-weight: 600; }
figure { margin: 20px 0 0; }
figcaption { margin-bottom: 14px; color: var(--muted); overflow-wrap: anywhere; }
svg.plot { display: block; width: 100%; height: auto; overflow: visible; }
svg.narrow { display: none; }
svg text { font-family: inherit; fill: var(--ink); }
text.tick, text.axis { font-size: 12px; fill: var(--muted); }
text.name { font-size: 12.5px; font-weight: 600; }
text.inside { font-size: 11px; }
text.old { fill: var(--old); } text.new { fill: var(--new); } text.agree { fill: var(--agree); }
text.limit { fill: var(--muted); }
.grid { stroke: var(--rule); } .base { stroke: var(--muted); }
.line { fill: none; stroke-width: 2.2; stroke-linejoin: round; stroke-linecap: round; }
.line.p95, .line.p5 { stroke-width: 1.3; }
.line.old, .mark.old { stroke: var(--old); } .line.new, .mark.new { stroke: var(--new); }
.line.agree, .mark.agree { stroke: var(--agree); }
.mark { stroke-width: 1; stroke-dasharray: 2 3; }
.limit { stroke: var(--muted); stroke-width: 1.4; stroke-dasharray: 7 5; } .limit.gate { stroke-dasharray: 2 4; }
text.limit { stroke: none; }
.ribbon { opacity: .14; } .area { fill-opacity: .18; stroke-width: 1.4; }
.ribbon.old, .area.old { fill: var(--old); } .ribbon.new, .area.new { fill: var(--new); }
.ribbon.agree, .area.agree { fill: var(--agree); }
.area.old { stroke: var(--old); } .area.new { stroke: var(--new); } .area.agree { stroke: var(--agree); }
.area.bars { fill-opacity: .8; stroke: none; }
.phase.old { fill: var(--old); } .phase.new { fill: var(--new); }
.phase { fill-opacity: .5; } .phase.dual { fill-opacity: .22; } .phase.held { fill: var(--hold); fill-opacity: .5; }
.hold { fill: var(--hold); fill-opacity: .35; }
.columns rect { fill: var(--ink); fill-opacity: 0; } .columns rect:hover { fill-opacity: .07; }
.key { display: inline-block; width: 11px; height: 11px; margin-right: 6px; border-radius: 2px; }
.key.old { background: var(--old); } .key.new { background: var(--new); }
.queries { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 40px; margin-top: 28px; }
.query { min-width: 0; break-inside: avoid; }
.query table { margin-top: 8px; table-layout: fixed; font-size: 13.5px; }
.query th, .query td { padding: 4px 0 4px 10px; overflow-wrap: anywhere; }
.query thead span { display: block; }
.query .rank { width: 34px; padding-left: 0; text-align: right; color: var(--muted); }
.query .absent { color: var(--bad); font-weight: 600; } .query .moved { color: var(--hold); }
.query .sign { display: inline-block; width: 1.2em; font-weight: 700; }
.alarm { color: var(--bad); font-weight: 600; }
footer { margin-top: 72px; padding-top: 20px; border-top: 1px solid var(--rule); }
footer { color: var(--muted); font-size: 13.5px; }
@media screen and (max-width: 900px) {
  .columns-2 { grid-template-columns: minmax(0, 1fr); }
  svg.half { max-width: 560px; }
}
@media screen and (max-width: 720px) {
  body { padding: 28px 16px 48px; }
  h1 { font-size: 26px; } h2 { margin-top: 48px; }
  svg.wide { display: none; } svg.narrow { display: block; }
  svg.plot { max-width: 560px; }
  .verdict { padding: 16px; }
  th, td { padding-left: 10px; }
}
@media print {
  body { max-width: none; padding: 0; font-size: 9.5pt; }
  th, td { padding: 4px 0 4px 8px; }
  .scroll { overflow: visible; } .columns-2 { gap: 0 28px; } .queries { gap: 28px; }
  figure, .verdict, table { break-inside: avoid; }
  h2 { margin-top: 28px; break-after: avoid; }
}
"""
)
