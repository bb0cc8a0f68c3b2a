"""How a benchmark's report looks: light or dark as the reader's system is, on paper light."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #fcfcfb; --ink: #1d1d1b; --soft: #62615c; --line: #e4e3df;
  --blue: #2a74c8; --orange: #c8591a; --grey: #a3a19a;
  --pale: #9cc2ee; --green: #2b8057; --pink: #b2478f;
  --loud: #a32a16; --loud-box: #fdf0ec; --shade: 42 116 200;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #171716; --ink: #ecebe7; --soft: #a5a39c; --line: #35342f;
    --blue: #5a9be6; --orange: #e07b3c; --grey: #77756e;
    --pale: #2e5b8d; --green: #55b184; --pink: #d77fb8;
    --loud: #ff9b85; --loud-box: #3a1d17; --shade: 90 155 230;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 62rem; padding: 2.5rem 1.25rem 4rem; background: var(--page);
  color: var(--ink); font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  overflow-wrap: break-word; font-variant-numeric: tabular-nums;
}
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .35rem; text-wrap: balance; }
h2 { font-size: 1.15rem; margin: 3rem 0 .15rem; }
h3 { font-size: .95rem; margin: 1.5rem 0 .5rem; }
p { margin: 0 0 1rem; max-width: 44rem; }
h1, h3, li, code, dd, .name, td:first-child, .words td { overflow-wrap: anywhere; }
small, .note, th { color: var(--soft); }
small, .note, table, .legend, .rows, .plane { font-size: .875rem; }
code { font: .875em ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
header p { color: var(--soft); margin: 0; }
.brand { font-size: .8rem; letter-spacing: .04em; margin-bottom: .35rem; }
section { break-inside: avoid-page; }

.warnings {
  border-left: .35rem solid var(--loud); background: var(--loud-box); margin: 1.75rem 0 0;
  padding: 1rem 1.25rem;
}
.warnings h2 { color: var(--loud); margin: 0 0 .25rem; }
.warnings p, .warnings ul { margin: .25rem 0 0; }
.warnings ul { padding-left: 1.1rem; }

.wide { overflow-x: auto; }
table { border-spacing: 0; width: 100%; margin: .75rem 0; }
th { font-weight: 400; text-align: right; vertical-align: bottom; }
td { text-align: right; white-space: nowrap; }
th:first-child, td:first-child, .words th, .words td { text-align: left; }
td:first-child { white-space: normal; min-width: 13rem; }
th, td { padding: .4rem .6rem; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { padding-left: 0; }
.wide td:first-child { position: sticky; left: 0; background: var(--page); }
.words td { white-space: normal; vertical-align: top; }
.words td:first-child { color: var(--soft); width: 9rem; min-width: 0; }
.chances td + td { background: rgb(var(--shade) / calc(var(--p, 0) * .55)); }
.chances td:nth-child(2) { font-weight: 600; background: none; }

.tiles { display: grid; grid-template-columns: repeat(4, 1fr); gap: 1.25rem 1.5rem;
  margin: 2rem 0 0; }
.tiles dt { color: var(--soft); font-size: .875rem; }
.tiles dd { margin: 0; font-size: 1.5rem; font-weight: 600; line-height: 1.25; }

svg { display: block; width: 100%; overflow: visible; }
svg text { fill: var(--ink); font-size: .75rem; }
.scale text, .left text { fill: var(--soft); }
.left text { text-anchor: end; }
.box text { paint-order: stroke; stroke: var(--page); stroke-width: 4px; }
.grid { stroke: var(--line); }
.samples { fill: var(--blue); opacity: .5; }
.dot { fill: var(--blue); stroke: var(--page); stroke-width: 1.5; }
.span { stroke: var(--blue); stroke-width: 1.5; }
.lead { stroke: var(--soft); }
.peak { stroke: var(--ink); stroke-width: 1.5; }
.front { fill: var(--blue); background: var(--blue); }
.inference { fill: var(--orange); background: var(--orange); }
.rest { fill: var(--grey); background: var(--grey); }
.working { fill: var(--pale); background: var(--pale); }
.part { stroke: var(--page); }
.curve { stroke-width: 2; }
.line0 { fill: var(--blue); } .curve.line0 { stroke: var(--blue); }
.line1 { fill: var(--orange); } .curve.line1 { stroke: var(--orange); }
.line2 { fill: var(--green); } .curve.line2 { stroke: var(--green); }
.line3 { fill: var(--pink); } .curve.line3 { stroke: var(--pink); }

.rows { margin: 1rem 0; }
.row { display: grid; grid-template-columns: 14rem 1fr 10.5rem; column-gap: 1.25rem;
  align-items: center; }
.row svg { grid-column: 2; grid-row: 1; }
.name { grid-column: 1; line-height: 1.3; }
.figures { grid-column: 3; line-height: 1.3; white-space: nowrap; }
.figures b { display: block; font-weight: 600; }
.legend { color: var(--soft); margin: .75rem 0 0; }
.key { display: inline-block; width: .75rem; height: .75rem; margin: 0 .4rem 0 1.25rem; }
.key:first-child { margin-left: 0; }
.plane { display: grid; grid-template-columns: 3.25rem 1fr; column-gap: .6rem; max-width: 48rem;
  margin: 1rem 0; padding-right: 1rem; }
.up { grid-column: 1 / 3; color: var(--soft); margin-bottom: .6rem; }
.scale { grid-column: 2; }
.across { grid-column: 2; color: var(--soft); text-align: center; }
.pairs { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr));
  column-gap: 3rem; }
.pairs .row { grid-template-columns: 7.5rem 1fr 7.5rem; column-gap: .9rem; }
.pairs .figures b { display: inline; margin-right: .5rem; }

@media screen and (max-width: 44rem) {
  body { padding: 1.5rem 1rem 3rem; }
  .tiles { grid-template-columns: repeat(2, 1fr); }
  td:first-child { min-width: 8rem; }
  .row, .pairs .row { grid-template-columns: 1fr auto; }
  .row svg { grid-column: 1 / 3; grid-row: 2; }
  .row { padding-top: .6rem; }
  .figures { grid-column: 2; text-align: right; }
  .name { grid-column: 1; }
}
@media print {
  :root { --page: white; }
  html { font-size: 70%; }
  body { max-width: none; padding: 0; }
  .wide { overflow: visible; }
  .wide td:first-child { position: static; background: none; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  h2, h3 { break-after: avoid; }
  .row, tr, .pairs > div { break-inside: avoid; }
}
"""
