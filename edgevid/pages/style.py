"""The style sheet of every page: light and dark, narrow and wide, screen and paper."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --panel: #f4f6f8; --ink: #1b1f24; --quiet: #57606a; --line: #d0d7de;
  --mark: #0b5cad; --other: #a04a00; --good: #17692c; --bad: #b42318; --on-dark: #ffffff;
  --c0: #0b5cad; --c1: #a04a00; --c2: #17692c; --c3: #7b3fa0; --c4: #9c1c53;
  --c5: #00666f; --c6: #5f5a00; --c7: #4a4fb3; --c8: #74472b; --c9: #4d5a66;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --panel: #1d2228; --ink: #e6e9ec; --quiet: #a5adb6; --line: #3a424b;
    --mark: #6cb0ff; --other: #ffb066; --good: #6fd08c; --bad: #ff8f85; --on-dark: #14171b;
    --c0: #6cb0ff; --c1: #ffb066; --c2: #6fd08c; --c3: #d3a4ff; --c4: #ff9ac8;
    --c5: #5fd3df; --c6: #d6cf6a; --c7: #a9b0ff; --c8: #d9b49a; --c9: #b4c0cc;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
main { max-width: 1080px; margin: 0 auto; padding: 24px 16px 64px; }
h1, h2, h3, p, li, dd, figcaption, summary { overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 12px; }
h2 { font-size: 1.2rem; margin: 44px 0 12px; padding-top: 12px; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 20px 0 6px; }
p, ul { margin: 0 0 12px; max-width: 75ch; }
ul { padding-left: 1.3em; }
.verdict { font-size: 1.2rem; max-width: 60ch; }
.quiet, figcaption, dt { color: var(--quiet); font-size: 0.875rem; }
.tiles {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px;
  margin: 20px 0 0;
}
.tiles div { background: var(--panel); border-radius: 8px; padding: 12px 14px; }
.tiles dd { margin: 0; font-size: 1.4rem; font-weight: 600; line-height: 1.3; }
.facts { display: grid; grid-template-columns: minmax(110px, max-content) 1fr; gap: 4px 16px; }
.facts, .facts dd { margin: 0; }
.facts dt { padding-top: 2px; }
.charts {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr));
  gap: 28px 32px; align-items: start;
}
figure { margin: 0; max-width: 500px; break-inside: avoid; }
figure.wide { max-width: none; margin: 24px 0; }
figure.wide svg { min-width: 620px; }
figure h3 { margin: 0 0 6px; }
figcaption { margin-top: 4px; }
.scroll { overflow-x: auto; margin: 0 0 12px; }
table { border-collapse: collapse; font-size: 0.875rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 6px 14px 6px 6px; border-bottom: 1px solid var(--line); }
th, td { vertical-align: top; }
thead th { color: var(--quiet); font-weight: 600; vertical-align: bottom; }
tbody th { font-weight: 600; }
.number { text-align: right; white-space: nowrap; }
.text { min-width: 14ch; max-width: 70ch; overflow-wrap: anywhere; }
.note { display: block; color: var(--quiet); font-size: 0.75rem; }
tr.kept > * { background: var(--panel); }
.marks { list-style: none; padding: 0; }
.marks li { border-left: 4px solid var(--bad); background: var(--panel); padding: 6px 12px; }
.marks li + li { margin-top: 6px; }
.good { color: var(--good); font-weight: 600; }
.bad { color: var(--bad); font-weight: 600; }
code {
  font: 0.85em/1.5 ui-monospace, "DejaVu Sans Mono", Menlo, monospace; overflow-wrap: anywhere;
}
details { margin: 12px 0; }
summary { cursor: pointer; color: var(--mark); margin-bottom: 8px; }
:focus-visible { outline: 2px solid var(--mark); outline-offset: 2px; }
svg { display: block; height: auto; font-family: inherit; font-size: 12px; }
svg text { fill: var(--ink); }
svg text.quiet { fill: var(--quiet); font-size: 11px; }
svg .figure { font-variant-numeric: tabular-nums; }
svg .on-dark { fill: var(--on-dark); }
svg .mark { fill: var(--mark); stroke: var(--mark); }
svg .hollow { fill: var(--paper); stroke: var(--other); stroke-width: 1.5; }
svg .same { fill: var(--mark); stroke: var(--line); }
svg .other { fill: var(--other); stroke: var(--line); }
svg .blank { fill: var(--panel); }
svg .c0 { fill: var(--c0); }
svg .c1 { fill: var(--c1); }
svg .c2 { fill: var(--c2); }
svg .c3 { fill: var(--c3); }
svg .c4 { fill: var(--c4); }
svg .c5 { fill: var(--c5); }
svg .c6 { fill: var(--c6); }
svg .c7 { fill: var(--c7); }
svg .c8 { fill: var(--c8); }
svg .c9 { fill: var(--c9); }
svg .curve { fill: none; stroke-width: 1.75; stroke-linejoin: round; }
svg .dots { fill: none; stroke-width: 2.6; stroke-linecap: round; stroke-opacity: 0.6; }
svg .large { fill: none; stroke-width: 6; stroke-linecap: round; }
svg .halo { paint-order: stroke; stroke: var(--paper); stroke-width: 3; stroke-linejoin: round; }
svg .guide { stroke: var(--ink); stroke-dasharray: 3 3; }
svg .band { fill: var(--panel); }
svg .s0 { stroke: var(--c0); }
svg .s1 { stroke: var(--c1); }
svg .s2 { stroke: var(--c2); }
svg .s3 { stroke: var(--c3); }
svg .s4 { stroke: var(--c4); }
svg .s5 { stroke: var(--c5); }
svg .s6 { stroke: var(--c6); }
svg .s7 { stroke: var(--c7); }
svg .s8 { stroke: var(--c8); }
svg .s9 { stroke: var(--c9); }
svg .grid { stroke: var(--line); stroke-width: 0.75; }
svg .limit { stroke: var(--bad); stroke-dasharray: 5 4; }
svg .interval { stroke: var(--quiet); stroke-width: 1.5; }
@media print {
  main { max-width: none; padding: 0; }
  body { font-size: 11pt; }
  h2 { break-after: avoid; }
  details::details-content { content-visibility: visible; height: auto; }
  .scroll { overflow: visible; }
  .tiles div, tr.kept > *, svg { print-color-adjust: exact; }
}
"""
