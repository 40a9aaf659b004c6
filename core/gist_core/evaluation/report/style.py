"""CSS of the report's page, after the style all pages share."""

STYLE = """
main { max-width: 66rem; }
section { margin: 2rem 0 0; }
h2 { font-size: 1.15rem; margin: 0 0 .5rem; scroll-margin-top: .5rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .5rem; }
.gist-about { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; margin: 0 0 .75rem; }
.gist-about div { min-width: 0; }
.gist-about dt { display: inline; opacity: .75; }
.gist-about dt::after { content: ": "; }
.gist-about dd { display: inline; margin: 0; font-weight: 600; overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; }
nav a { color: inherit; padding: .2rem 0; }
.gist-words { max-width: 46rem; margin: 0 0 .6rem; font-size: .92rem; }
.gist-note { margin: .4rem 0; font-size: .85rem; opacity: .75; }
.gist-tables { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); gap: 0 1.5rem; }
.gist-wide { overflow-x: auto; margin: 0 0 1.25rem; }
.gist-whole { grid-column: 1 / -1; }
.gist-wide h3 { position: sticky; left: 0; margin: .3rem 0; font-size: .92rem; }
table { border-collapse: collapse; font-size: .9rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .55rem; text-align: right; vertical-align: top; white-space: nowrap;
  border-bottom: 1px solid rgba(128,128,128,.3); }
th:first-child { text-align: left; font-weight: 400; white-space: normal; min-width: 7.5rem; max-width: 16rem;
  overflow-wrap: anywhere; position: sticky; left: 0; background: var(--ground); padding-left: 0; }
thead th, thead th:first-child { font-weight: 600; vertical-align: bottom; white-space: normal; }
td { min-width: 3.4rem; }
td small { display: block; opacity: .75; font-size: .78rem; }
td b { font-size: .8em; }
td.gist-list { text-align: left; white-space: normal; overflow-wrap: anywhere; }
table:has(.gist-list) :is(th, td) { text-align: left; }
.gist-key { padding: 0; white-space: normal; font-size: .92rem; }
.gist-ours th, .gist-ours td { font-weight: 700; }
.gist-ours small { font-weight: 400; }
.gist-charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); gap: 1.25rem;
  margin: 0 0 1rem; }
figure { margin: 0; max-width: 34rem; }
figure svg { display: block; width: 100%; height: auto; overflow: visible; }
figcaption { font-weight: 600; font-size: .92rem; }
details { margin: 0 0 .5rem; }
summary { cursor: pointer; padding: .3rem 0; }
.gist-example { border: 1px solid rgba(128,128,128,.35); border-radius: .5rem; padding: .3rem .8rem; }
.gist-example > summary { font-weight: 600; }
.gist-example summary small { display: block; font-weight: 400; opacity: .75; padding-left: 1rem; }
.gist-example .gist-result { margin-bottom: .6rem; }
.gist-example .gist-text { max-height: 28rem; overflow-y: auto; }
@media (max-width: 30rem) { th, td { padding: .3rem .3rem; } table { font-size: .84rem; }
  th:first-child { min-width: 6rem; max-width: 8rem; } }
"""
