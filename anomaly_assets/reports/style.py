"""How pages look: on light and on dark ground, on paper."""

CSS = """
:root{color-scheme:light dark;--ground:#fbfbfa;--card:#fff;--ink:#1d2329;--soft:#5c6670;--line:#dfe3e6;
--bar:#5b7fb0;--day:#2c4a76;--band:#dbe5f1;--flag:#c43c4f;--good:#2b7a4b;--bad:#c0293e;--doubtful:#96650a;--plain:#5c6670}
@media (prefers-color-scheme:dark){:root{--ground:#14181c;--card:#1c2227;--ink:#e4e8eb;--soft:#9aa5af;--line:#323a41;
--bar:#7fa6d9;--day:#c9def7;--band:#26384d;--flag:#f0788a;--good:#6cc892;--bad:#ff7a8c;--doubtful:#e3b04f;--plain:#9aa5af}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,"Segoe UI",Roboto,"Helvetica Neue",
Arial,sans-serif}
main{max-width:62rem;margin:0 auto;padding:1.5rem 1.25rem}
header{margin-bottom:1rem}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 .4rem;overflow-wrap:anywhere;unicode-bidi:isolate}
h2{font-size:1.1rem;margin:0 0 .6rem}
h3{font-size:.95rem;margin:1.1rem 0 .4rem}
p{margin:.35rem 0;overflow-wrap:anywhere}
.lead{font-size:1.05rem}
.soft,figcaption{color:var(--soft)}
section{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:1rem 1.1rem;margin:0 0 1rem}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.92rem}
th{text-align:left;font-weight:600;color:var(--soft);border-bottom:1px solid var(--line);padding:.25rem .6rem .25rem 0;
vertical-align:bottom}
td{border-bottom:1px solid var(--line);padding:.3rem .6rem .3rem 0;vertical-align:top;overflow-wrap:break-word;
unicode-bidi:isolate}
tbody tr:last-child td{border-bottom:0}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
dl{display:grid;grid-template-columns:minmax(8rem,17rem) 1fr;gap:.2rem .9rem;margin:.3rem 0}
dt{color:var(--soft);overflow-wrap:anywhere}
dd{margin:0;overflow-wrap:anywhere;unicode-bidi:isolate}
ul{margin:.3rem 0;padding-left:1.2rem}
li{overflow-wrap:anywhere;unicode-bidi:isolate}
.one{white-space:nowrap}
td code{display:inline-block;min-width:14ch}
.any{overflow-wrap:anywhere;unicode-bidi:isolate}
code{font:.88em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere;unicode-bidi:isolate}
pre{margin:.4rem 0;padding:.6rem .8rem;border:1px solid var(--line);border-radius:6px;white-space:pre-wrap;
overflow-wrap:anywhere;background:var(--ground)}
a{color:var(--bar);overflow-wrap:anywhere}
img{display:block;max-width:100%;height:auto;background:#fff;border:1px solid var(--line);border-radius:6px;
margin:.6rem 0}
.badge{display:inline-block;padding:.05rem .55rem;border:1px solid;border-radius:1rem;font-weight:600;font-size:.85rem;
white-space:nowrap}
.good{color:var(--good)}.bad{color:var(--bad)}.doubtful{color:var(--doubtful)}.plain{color:var(--plain)}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.8rem;margin-bottom:.9rem}
.figure b{display:block;font-size:1.5rem;line-height:1.2;font-variant-numeric:tabular-nums}
.figure span{color:var(--soft);font-size:.9rem}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(17rem,1fr));gap:1rem}
figure{margin:0}
figcaption{font-size:.88rem}
svg{display:block;max-width:100%;height:auto}
svg text{fill:var(--soft);font-size:11px}
td svg{min-width:8rem}
footer{max-width:62rem;margin:0 auto;padding:0 1.25rem 2rem;color:var(--soft);font-size:.85rem}
@media (max-width:40rem){dl{grid-template-columns:1fr}dd{margin-bottom:.4rem}}
@media print{:root{color-scheme:light;--ground:#fff;--card:#fff;--ink:#000;--soft:#444;--line:#bbb;--bar:#355d94;
--day:#16315a;--band:#dbe5f1;--flag:#a81f33;--good:#1f6b3d;--bad:#a81f33;--doubtful:#7a5206;--plain:#444}
html{font-size:12px}body{font-size:1rem}main{max-width:none;padding:0}section{border:0;padding:0;border-top:1px solid
var(--line);border-radius:0;padding-top:.6rem}h2,h3{break-after:avoid}tr,img,figure{break-inside:avoid}.wide{overflow:visible}}
"""
"""One style sheet for all pages."""
